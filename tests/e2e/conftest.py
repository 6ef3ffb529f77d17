"""A whole stack for the end-to-end tests: OpenSearch, model endpoints and Airflow, with some broken connections."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from local.airflow_standalone import AirflowStandalone
from local.model_endpoints.process import ModelEndpoints
from local.stack import Stack
from tests.support.cluster import Cluster
from tests.support.repository import BLUEPRINTS, REPOSITORY
from tests.support.scheduler_runs import PARSED_ONCE
from tests.support.shared_stack import ML_PASSWORD, ML_USER, ROTATING, SESSION, bundle, fleet_of


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
