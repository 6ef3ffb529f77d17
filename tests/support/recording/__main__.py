"""Record what this commit keeps in Airflow, in a cluster and in AWS: ``python -m tests.support.recording VERSION``.

Three stacks start one after the other and are deleted, which takes about 20 minutes. The folder of the version has the
blueprints (for a new version, copy those of the last one); the recording is written beside them. What was recorded for
a version is never recorded again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.airflow_home import AIRFLOW_HOME
from tests.support.recording.domain import record_domain
from tests.support.recording.neutral import write
from tests.support.recording.self_managed import Recording, record_self_managed
from tests.support.repository import REPOSITORY

DATA = REPOSITORY / "tests" / "data"
NEWEST, OLDER = "3.6.0", "2.19.1"
PARTS = ("self-managed", "older", "domain")


def main(arguments: list[str]) -> None:
    """Record the parts that are asked for.

    :param arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.support.recording", description=__doc__)
    parser.add_argument("version", help="name of the folder with the blueprints")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; may be given several times")
    given = parser.parse_args(arguments)
    to, parts = DATA / given.version, given.part or PARTS
    with TemporaryDirectory(prefix="recorder-") as folder:
        if "self-managed" in parts:
            whole = record_self_managed(Path(folder, "newest"), to, NEWEST, whole=True)
            write_airflow(to / "airflow", whole)
            write(to / f"cluster-{NEWEST}.json", whole.cluster)
            write(to / "aws-credentials.json", whole.aws)
        if "older" in parts:
            older = record_self_managed(Path(folder, "older"), to, OLDER, whole=False)
            write(to / f"cluster-{OLDER}.json", older.cluster)
        if "domain" in parts:
            domain = record_domain(Path(folder, "domain"), to)
            write_airflow(to / "airflow-domain", domain)
            write(to / f"domain-{NEWEST}.json", domain.cluster)
            write(to / "iam.json", domain.aws)
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def write_airflow(folder: Path, recording: Recording) -> None:
    """Write what Airflow keeps, a file for each kind of row that there is."""
    files: dict[str, Any] = {
        "xcoms": recording.runs,
        "asset_events": recording.asset_events,
        "asset_state": recording.asset_state,
        "task_state": recording.task_state,
        "waiting_tasks": recording.waiting,
        "target": recording.target,
    }
    for name, recorded in files.items():
        if recorded:
            write(folder / f"{name}.json", recorded)


if __name__ == "__main__":
    main(sys.argv[1:])
