"""The policy in README.md is all that Airflow needs on a domain, and each part of it is needed."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_ml.operators.cluster import OpenSearchRemoveTrustedEndpointsOperator
from opensearch_ml.operators.connector import OpenSearchDeleteConnectorOperator
from opensearch_ml.operators.iam_role import OpenSearchDeleteIamRoleOperator
from opensearch_ml.operators.model import (
    OpenSearchDeleteModelGroupOperator,
    OpenSearchDeleteModelOperator,
    OpenSearchUndeployModelOperator,
)
from tests.support.domain_world import ACCOUNT, BLUEPRINT, ROLE_NAME, USER_ARN, TaskFailed, World
from tests.support.markdown import airflow_policy, blocks
from tests.support.repository import REPOSITORY

AIRFLOW_ROLE = f"arn:aws:iam::{ACCOUNT}:role/airflow"
UNASKED = (
    "could not be",
    "can be neither",
    "cannot be simulated",
    "cannot be read",
    "cannot all be",
)  # what the log says of something that was not allowed
STATEMENTS = airflow_policy()["Statement"]


def let_in(world: World, statements: list[dict[str, Any]]) -> None:
    """Let Airflow be a role that may what these statements say; its user may assume that role, and nothing else."""
    trust = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
    world.account.create_role("airflow", trust, statements)
    world.may = {"assume": [{"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": AIRFLOW_ROLE}]}
    world.aws["extra"]["role_arn"] = AIRFLOW_ROLE
    world.ready()
    world.account.forget_writes()


def roles(world: World) -> set[str]:
    return {role["RoleName"] for role in world.account.client("iam").list_roles()["Roles"]}


def test_with_the_documented_policy_a_domain_is_provisioned_again_and_torn_down_and_all_is_asked(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    let_in(world, STATEMENTS)
    model_id = world.provision()
    assert ROLE_NAME in roles(world)
    world.account.forget_writes()
    world.domain.gateway.forget_requests()
    assert world.provision() == model_id
    assert world.writes()[0] == {}

    given = {"opensearch_conn_id": "opensearch_default", "blueprint": BLUEPRINT}
    for delete in (
        OpenSearchUndeployModelOperator(task_id="undeploy", **given),
        OpenSearchDeleteModelOperator(task_id="delete_model", **given),
        OpenSearchDeleteConnectorOperator(task_id="delete_connector", **given),
        OpenSearchDeleteModelGroupOperator(task_id="delete_model_group", **given),
        OpenSearchRemoveTrustedEndpointsOperator(task_id="trusted", opensearch_admin_conn_id=world.admin, **given),
        OpenSearchDeleteIamRoleOperator(task_id="delete_iam_role", **given),
    ):
        delete.execute({})
    assert ROLE_NAME not in roles(world)
    logged = "".join(capfd.readouterr())
    assert f"{AIRFLOW_ROLE} may iam:PassRole on" in logged
    assert [line for line in logged.splitlines() if any(words in line for words in UNASKED)] == []


@pytest.mark.parametrize(
    ("sid", "told"),
    [
        ("SendRequests", "may not es:ESHttp"),
        ("FindTheEndpoint", "the endpoint of domain search cannot be looked up"),
        ("PassTheRole", "may not iam:PassRole"),
        ("MakeTheRole", "may not iam:CreateRole, iam:PutRolePolicy, iam:TagRole, iam:UpdateAssumeRolePolicy"),
    ],
)
def test_without_one_of_its_parts_preflight_names_what_is_missing(world: World, sid: str, told: str) -> None:
    let_in(world, [statement for statement in STATEMENTS if statement["Sid"] != sid])
    with pytest.raises(TaskFailed) as raised:
        world.provision()
    assert raised.value.task_id == "preflight"
    assert told in raised.value.told
    assert world.writes() == ({}, [])


def test_without_leave_to_ask_all_works_and_what_was_not_asked_is_said(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    let_in(world, [statement for statement in STATEMENTS if statement["Sid"] != "AskBeforehand"])
    world.provision()
    logged = "".join(capfd.readouterr())
    assert f"whether {AIRFLOW_ROLE} may iam:PassRole on" in logged
    assert "endpoint opensearch-embedding could not be checked" in logged
    assert "whether AWS goes by it yet could not be asked" in logged


def test_the_report_in_the_documentation_is_what_preflight_tells(world: World) -> None:
    world.target["variables"]["endpoint_name"] = "opensearch-embeding"
    let_in(world, [statement for statement in STATEMENTS if statement["Sid"] != "PassTheRole"])
    with pytest.raises(TaskFailed) as raised:
        world.provision()
    [shown] = blocks((REPOSITORY / "docs" / "aws.md").read_text(), "text")
    assert raised.value.told == shown.rstrip("\n")


def test_no_part_is_without_its_test() -> None:
    assert [statement["Sid"] for statement in STATEMENTS] == [
        *("SendRequests", "FindTheEndpoint", "PassTheRole", "MakeTheRole"),
        "AskBeforehand",
    ]
