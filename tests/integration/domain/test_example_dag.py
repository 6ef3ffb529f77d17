"""examples/amazon_opensearch_domain.py as a user copies it: it makes a model, and what uses the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.dag_runs import Finished, Run
from tests.support.domain_world import ROLE_ARN, ROLE_NAME, World
from tests.support.repository import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
DAG_ID = "amazon_opensearch_domain"
PIPELINE = "/_ingest/pipeline/embed-text"
TASKS = [
    *("preflight", "iam_role", "ml_settings", "role_mapping", "trusted_endpoints", "connector", "model_group"),
    *("model", "deploy", "deployed", "answers", "ingest_pipeline"),
]


@pytest.fixture
def owned(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world with the example's own connections: one signs, and another one makes roles."""
    signer, maker = (world.account.create_user(name) for name in ("signer", "maker"))
    world.account.set_user_statements("signer", [*world.may["domain"], *world.may["look"], *world.may["pass"]])
    world.account.set_user_statements("maker", [*world.may["role"], *world.may["look"]])
    world.connection["extra"]["aws_conn_id"] = "aws_domain"
    world.target["opensearch_conn_id"] = "opensearch_domain"
    world.ready()
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    monkeypatch.delenv("AIRFLOW_CONN_OPENSEARCH_DEFAULT")
    monkeypatch.setenv("AIRFLOW_CONN_OPENSEARCH_DOMAIN", json.dumps(world.connection))
    for name, key in (("AWS_DOMAIN", signer), ("AWS_IAM", maker)):
        login = {"login": key["access_key_id"], "password": key["secret_access_key"]}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(world.aws | login))
    world.account.forget_writes()
    yield world
    world.domain.as_admin("DELETE", PIPELINE)


def told(done: Finished) -> dict[str, Any]:
    return {task_id: task.state for task_id, task in done.tasks.items()}


def test_the_example_makes_a_model_that_the_role_answers_for_and_a_pipeline_that_uses_it(
    owned: World,
    run_dag: Run,
) -> None:
    done = run_dag(DAG_ID, folder=EXAMPLES)
    assert told(done) == dict.fromkeys(TASKS, "success"), done.log
    model_id = done.xcoms()["answers", "return_value"]
    processor = owned.domain.as_admin("GET", PIPELINE).json()["embed-text"]["processors"][0]
    assert processor["text_embedding"]["model_id"] == model_id
    assert {request.principal for request in owned.endpoints.requests(family="sagemaker")} == {
        f"{ROLE_ARN.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/search"
    }
    embedded = owned.domain.as_admin(
        "POST", f"{PIPELINE}/_simulate", json={"docs": [{"_source": {"text": "A short sentence."}}]}
    ).json()["docs"][0]["doc"]["_source"]["embedding"]
    assert len(embedded) == 384


def test_the_next_day_nothing_is_written_but_what_somebody_took_away(
    owned: World,
    run_dag: Run,
) -> None:
    assert set(told(run_dag(DAG_ID, folder=EXAMPLES)).values()) == {"success"}
    owned.account.forget_writes()
    owned.domain.gateway.forget_requests()
    assert set(told(run_dag(DAG_ID, folder=EXAMPLES)).values()) == {"success"}
    iam, sent = owned.writes()
    assert iam == {}
    assert [one for one in sent if not one.endswith("/_predict")] == [f"PUT {PIPELINE}"]

    policies = owned.account.client("iam")
    [policy] = policies.list_role_policies(RoleName=ROLE_NAME)["PolicyNames"]
    policies.delete_role_policy(RoleName=ROLE_NAME, PolicyName=policy)
    owned.account.forget_writes()
    assert set(told(run_dag(DAG_ID, folder=EXAMPLES)).values()) == {"success"}
    assert owned.writes()[0] == {"iam:PutRolePolicy": 1}
