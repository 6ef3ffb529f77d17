"""Runs that Airflow's own scheduler makes, and what they leave in the log, in the cluster and on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from local.airflow_standalone import DagRun
from tests.support.cluster import Cluster

PROVISION, TEARDOWN = "opensearch_ml_provision", "opensearch_ml_teardown"
PARSED_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}  # no test changes a DAG file
ONE_OF_EACH = {"connectors": 1, "model_groups": 1, "models": 1}
# The server's in-use check splits ids at "-" and may answer 409 for a connector that no model uses, as long as other
# models are there. What it keeps is told in the log, and only then may it be left.
KEPT_BY_THE_SERVER = "is used by no model, yet the server keeps it"


def objects(cluster: Cluster, blueprint: str) -> dict[str, int]:
    """How many of each a blueprint has in the cluster."""
    marked = {"term": {"parameters.opensearch_ml_blueprint": blueprint}}
    named = {"term": {"name.keyword": blueprint}}
    return {
        "connectors": len(cluster.search("connectors", marked)),
        "model_groups": len(cluster.search("model_groups", named)),
        "models": len(cluster.search("models", named)),
    }


def told(run: DagRun, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
    """What a person reads in a task's log."""
    entries = run.log(task_id, attempt, map_index)
    return re.sub(r"\\n", "\n", entries)


def state_of(run: DagRun, task_id: str) -> str:
    """The state of one task."""
    return str(next(task["state"] for task in run.tasks() if task["task_id"] == task_id))


def tries_of(run: DagRun, task_id: str) -> int:
    """How often one task was tried."""
    return int(next(task["try_number"] for task in run.tasks() if task["task_id"] == task_id))


def files_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder, with its content."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
