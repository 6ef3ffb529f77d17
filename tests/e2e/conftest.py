"""A whole stack for the end-to-end tests: OpenSearch, model endpoints and Airflow, with some broken connections."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.airflow_standalone import AirflowStandalone, DagRun
from local.model_endpoints.process import ModelEndpoints
from local.stack import Stack
from tests.support.cluster import REPOSITORY, Cluster

ML_USER, ML_PASSWORD = "restricted", "canary-Xw9-Tt2-Vb6-Hq1"
BLUEPRINTS = REPOSITORY / "include" / "blueprints"
PROVISION, TEARDOWN = "opensearch_ml_provision", "opensearch_ml_teardown"
FLEET, FLEET_BROKEN = ("fleet_a", "fleet_b", "fleet_c"), "fleet_typo"
PARSED_ONCE = {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}  # no test changes a DAG file
ROTATING = ("rotating", "rotating_second", "rotating_third")  # with the key of one connection
ONE_OF_EACH = {"connectors": 1, "model_groups": 1, "models": 1}
SESSION = "session"  # the DAGs offer it; a test writes what it needs
# The server's in-use check splits ids at "-" and may answer 409 for a connector that no model uses, as long as other
# models are there. What it keeps is told in the log, and only then may it be left.
KEPT_BY_THE_SERVER = "is used by no model, yet the server keeps it"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up; everything it made is gone afterwards."""
    folder = tmp_path_factory.mktemp("stack")
    blueprints = folder / "blueprints"
    shutil.copytree(BLUEPRINTS, blueprints)
    embedding = (BLUEPRINTS / "openai_embedding.yaml").read_text()
    (blueprints / "wrong_dimension.yaml").write_text(
        embedding.replace("dimension: ${variables.dimension}", "dimension: 7")
    )
    (blueprints / "both_at_once.yaml").write_text(embedding)
    rotating = embedding.replace("openai_default", "rotated_key").replace("read_timeout: 30", "read_timeout: 1")
    for name in ROTATING:  # the grace of a rotation is as long as its read timeout
        (blueprints / f"{name}.yaml").write_text(rotating)
    shutil.copy(BLUEPRINTS / "sagemaker_embedding_static_keys.yaml", blueprints / f"{SESSION}.yaml")
    (blueprints / "unknown_field.yaml").write_text(embedding.replace("client_config:", "client_configs:"))
    (blueprints / "no_such_secret.yaml").write_text(embedding.replace("openai_default", "no_such_connection"))
    fleet_of(folder, embedding)
    stack = Stack(
        folder,
        environment={
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
                [bundle("dags", REPOSITORY / "dags"), bundle("of-a-user", folder / "of_a_user")]
            ),
            "AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER": str(blueprints),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            **PARSED_ONCE,
        },
    )
    stack.opensearch.start()
    stack.opensearch.wait_until_healthy()
    good = json.loads(stack.airflow_environment()["AIRFLOW_CONN_OPENSEARCH_DEFAULT"])
    broken: dict[str, dict[str, Any]] = {
        "os_wrong_password": {"password": "wrong-canary-password-8Zq"},
        "os_refused": {"port": 9},
        "os_unknown_host": {"host": "no-such-host.invalid"},
        "os_untrusted_tls": {"extra": {"use_ssl": True}},
        "os_ml_only": {"login": ML_USER, "password": ML_PASSWORD},
        "os_fleet": {},
    }
    stack.environment |= {f"AIRFLOW_CONN_{name.upper()}": json.dumps(good | change) for name, change in broken.items()}
    try:
        stack.up()
        # The same platform, but neither settings nor role mappings: this user may write neither.
        local = yaml.safe_load((folder / "targets" / "local.yaml").read_text())
        only = {"opensearch_conn_id": "os_ml_only", "variables": local["variables"]}
        (folder / "targets" / "ml_only.yaml").write_text(yaml.safe_dump(only))
        yield stack
    finally:
        stack.reset()


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


@pytest.fixture(scope="session")
def e2e_cluster(stack: Stack) -> Cluster:
    """The stack's cluster, with a user who has ml_full_access and nothing else."""
    cluster = Cluster(stack.opensearch, stack.version)
    cluster.add_user(ML_USER, ML_PASSWORD, ["ml-only"])
    mapping = {"backend_roles": ["ml-only"]}
    cluster.request("PUT", "/_plugins/_security/api/rolesmapping/ml_full_access", json=mapping).raise_for_status()
    return cluster


@pytest.fixture
def airflow(stack: Stack, e2e_cluster: Cluster) -> AirflowStandalone:
    """The stack's Airflow."""
    assert stack.airflow
    return stack.airflow


@pytest.fixture
def e2e_endpoints(stack: Stack) -> Iterator[ModelEndpoints]:
    """The stack's model endpoints, behaving again afterwards."""
    assert stack.model_endpoints
    yield stack.model_endpoints
    stack.model_endpoints.behave_normally()


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
