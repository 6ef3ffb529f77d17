"""A self-managed cluster signs with a user's keys or a session's; a role is refused, with what takes its place."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.support.cluster import Cluster
from tests.support.domain_world import ACCOUNT, ENDPOINT_ARN, USER_ARN, TaskFailed, World
from tests.support.domains import REGION
from tests.support.repository import REPOSITORY

MODELS_ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/models"
INVOKE = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": ENDPOINT_ARN}
TOKEN = {"session_token": {"conn_id": "aws_default", "field": "extra.aws_session_token"}}


@pytest.fixture
def self_managed(world: World, cluster36: Cluster) -> World:
    """The same world with an ordinary cluster, whose administrator runs the DAG, in place of the domain."""
    world.connection, world.admin = json.loads(cluster36.connection()), ""
    world.target["variables"] |= {"region": REGION, "account_id": ACCOUNT}
    world.may = {"invoke": [INVOKE], "assume": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
    world.ready()
    world.account.forget_writes()
    return world


def take_keys(world: World, **more: dict[str, str]) -> None:
    """Take the catalog's blueprint for self-managed clusters; its keys are those of connection aws_default."""
    path = REPOSITORY / "include" / "blueprints" / "sagemaker_embedding_static_keys.yaml"
    world.document = yaml.safe_load(path.read_text())
    world.document["connector"]["credential"] |= more
    world.ready()


def take_session(world: World) -> None:
    """Let connection aws_default hold a session of a role that may invoke the endpoint."""
    trust = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
    world.account.create_role("models", trust, [INVOKE])
    key = {"access_key_id": world.aws["login"], "secret_access_key": world.aws["password"]}
    session = world.domain.session(MODELS_ROLE_ARN, key, "rotated")
    world.aws |= {"login": session["access_key_id"], "password": session["secret_access_key"]}
    world.aws["extra"]["aws_session_token"] = session["session_token"]


def signers(world: World) -> list[tuple[str, int | None, str | None]]:
    return [(request.family, request.status, request.principal) for request in world.endpoints.requests()]


def test_a_users_keys_sign_as_the_user_and_iam_is_not_touched(self_managed: World) -> None:
    take_keys(self_managed)
    self_managed.account.forget_writes()
    model_id = self_managed.provision()
    assert signers(self_managed) == [("sagemaker", 200, USER_ARN)]
    assert self_managed.provision() == model_id
    assert self_managed.account.writes() == {}


def test_a_sessions_keys_sign_as_the_session(self_managed: World) -> None:
    take_session(self_managed)
    take_keys(self_managed, **TOKEN)
    self_managed.provision()
    assert signers(self_managed) == [("sagemaker", 200, f"arn:aws:sts::{ACCOUNT}:assumed-role/models/rotated")]


def test_a_sessions_keys_without_their_token_are_half_a_session(self_managed: World) -> None:
    take_session(self_managed)
    take_keys(self_managed)
    with pytest.raises(TaskFailed, match="signs with half a session") as failed:
        self_managed.provision()
    assert (failed.value.task_id, signers(self_managed)) == ("preflight", [])
    assert "session_token: {conn_id: aws_default" in failed.value.told.partition("fix: ")[2]


@pytest.mark.parametrize(
    ("without", "task", "cause"),
    [
        ((), "preflight", "roleArn works on Amazon OpenSearch Service alone, and this cluster is self-managed"),
        (("preflight",), "iam_role", "roleArn works on Amazon OpenSearch Service alone"),
        (("preflight", "iam_role"), "connector", "400 illegal_argument_exception: Missing credential"),
    ],
    ids=["all tasks", "no preflight", "the server"],
)
def test_a_role_is_refused_with_what_takes_its_place(
    self_managed: World, without: tuple[str, ...], task: str, cause: str
) -> None:
    with pytest.raises(TaskFailed) as failed:
        self_managed.provision(without=without)
    assert failed.value.task_id == task
    assert cause in failed.value.told
    fix = failed.value.told.partition("fix: ")[2]
    assert all(key in fix for key in ("access_key", "secret_key", "session_token")), fix
    assert self_managed.account.writes() == {}
