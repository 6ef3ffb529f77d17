"""What the stack of the end-to-end tests holds beside the catalog: blueprints, a fleet, and a user with few rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.repository import REPOSITORY

ML_USER, ML_PASSWORD = "restricted", "canary-Xw9-Tt2-Vb6-Hq1"
FLEET, FLEET_BROKEN = ("fleet_a", "fleet_b", "fleet_c"), "fleet_typo"
ROTATING = ("rotating", "rotating_second", "rotating_third")  # with the key of one connection
SESSION = "session"  # the DAGs offer it; a test writes what it needs


def fleet_of(folder: Path, embedding: str) -> None:
    """Write a target with its blueprints, one of them with a mistake, and a user's DAG that wants one of its models."""
    quick = embedding.replace("read_timeout: 30", "read_timeout: 1")
    for name in FLEET:
        (folder / "blueprints" / f"{name}.yaml").write_text(quick)
    inline = folder / "blueprints" / f"{FLEET[1]}.yaml"
    inline.write_text(f"{quick}\ninline: true\n")
    broken = folder / "blueprints" / f"{FLEET_BROKEN}.yaml"
    broken.write_text(quick.replace("client_config:", "client_configs:"))
    (folder / "targets").mkdir()
    # What is read with the DAG's file; its variables are known once the model endpoints are up.
    target = {"opensearch_conn_id": "os_fleet", "pool": "fleet", "blueprints": ["fleet_*"]}
    (folder / "targets" / "fleet.yaml").write_text(yaml.safe_dump(target))
    example = (REPOSITORY / "examples" / "search_index.py").read_text()
    for name, value in {"TARGET": "fleet", "BLUEPRINT": FLEET[0]}.items():
        example = re.sub(rf'^{name} = ".*"', f'{name} = "{value}"', example, flags=re.MULTILINE)
    (folder / "of_a_user").mkdir()
    (folder / "of_a_user" / "search_index.py").write_text(example)


def bundle(name: str, folder: Path) -> dict[str, Any]:
    """A DAG bundle of Airflow's configuration."""
    path = {"path": str(folder)}
    return {"name": name, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": path}
