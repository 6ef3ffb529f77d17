"""Sources with a real cluster: provisioning gets the first credential from them, and a rotation each that follows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from enum import Enum
from typing import Any

import pytest

from local.aws_account.process import AwsAccount
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.credentials import resolver
from opensearch_ml.errors import InUse, PermissionDenied, RequestRefused, RotationFailed, UntrustedEndpoint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.record import Limits, RotationRecord
from opensearch_ml.rotation.sources import check_source, source_for, supply_for
from opensearch_ml.rotation.sources.iam_user_key import KeyStep
from opensearch_ml.rotation.sources.journal import SourceJournal
from opensearch_ml.rotation.sources.key_notes import mark_of
from opensearch_ml.rotation.sources.secrets_manager import SecretStep
from opensearch_ml.rotation.sources.session_label import SessionLabel
from opensearch_ml.rotation.swap import rotate
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.deployment import start_deployment
from opensearch_ml.steps.model import ensure_model, ensure_model_group
from opensearch_ml.steps.predict import smoke_predict
from opensearch_ml.steps.preflight import preflight
from opensearch_ml.steps.preflight_report import Report
from tests.support.cluster import Cluster
from tests.support.credential_sources import ROLE, ROLE_NAME, SECRET, USER, killed_at
from tests.support.parsing import parse_blueprint
from tests.support.provisioning import prepare, until_deployed
from tests.support.provisioning import provision as provision_with
from tests.support.repository import REPOSITORY
from tests.support.rotation_world import load

pytestmark = pytest.mark.slow  # make test-rotation

ENDPOINT = "opensearch-embedding"
QUICK = Limits(grace_s=0.3, lease_s=2.0, serve_s=10.0)
KEYS = {"source": "iam_user_key", "user_name": USER, "delete_after_h": 0}
SESSIONS = {"source": "assume_role", "role_arn": ROLE}
ASK = {"parameters": {"input": ["A short sentence."]}}
RUNS = iter(range(1_000))


@pytest.fixture(scope="module")
def _platform(_account: AwsAccount) -> Iterator[ModelEndpoints]:
    with start_model_endpoints(account_url=_account.url) as endpoints:
        yield endpoints


@pytest.fixture
def platform(_platform: ModelEndpoints, account: AwsAccount, access: AwsAccess) -> ModelEndpoints:
    """SageMaker, with an endpoint that a user and a role may call, and OpenAI."""
    invoke = {
        "Effect": "Allow",
        "Action": "sagemaker:InvokeEndpoint",
        "Resource": account.create_sagemaker_endpoint(ENDPOINT),
    }
    account.client("iam").create_user(UserName=USER)
    account.set_user_statements(USER, [invoke])
    account.create_role(
        ROLE_NAME, [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}], [invoke]
    )
    _platform.replace_keys({})
    _platform.forget_requests()
    account.forget_writes()
    return _platform


@pytest.fixture
def embedding(platform: ModelEndpoints) -> Callable[..., Blueprint]:
    """Makes the catalog's sagemaker_embedding_static_keys, with a source in place of its references."""
    catalog = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "include" / "targets")

    def make(rotation: dict[str, Any], *, read_timeout: int = 2, **parts: Any) -> Blueprint:
        found = catalog.blueprint("sagemaker_embedding_static_keys")
        document = found.model_dump(by_alias=True, exclude_unset=True, exclude={"name", "variables"})
        del document["connector"]["credential"]
        document["connector"]["actions"][0]["url"] = f"{platform.url}/endpoints/{ENDPOINT}/invocations"
        document["connector"]["client_config"] = {"connection_timeout": 2, "read_timeout": read_timeout}
        return parse_blueprint("embedding", {**document, **parts, "rotation": rotation}, source="embedding")

    return make


def provision(hook: OpenSearchMLHook, blueprint: Blueprint) -> str:
    """All steps, as the DAG runs them; returns the model's id."""
    prepare(hook, blueprint)
    return register(hook, blueprint)


def register(hook: OpenSearchMLHook, blueprint: Blueprint) -> str:
    supply = supply_for(blueprint, hook)
    connector_id = None if blueprint.inline else ensure_connector(hook, blueprint, {}, supply=supply).id
    group_id = ensure_model_group(hook, blueprint).id
    model_id = ensure_model(
        hook, blueprint, model_group_id=group_id, connector_id=connector_id, supply=supply if blueprint.inline else None
    ).id
    task_id = start_deployment(hook, model_id)
    persistently(lambda: until_deployed(hook, model_id, task_id))
    smoke_predict(hook, blueprint, model_id)
    return model_id


def rotated(hook: OpenSearchMLHook, blueprint: Blueprint, **options: Any) -> RotationRecord:
    return rotate(
        hook, blueprint, source_for(blueprint, hook, verify_s=0), token=f"run {next(RUNS)}", limits=QUICK, **options
    )


def keys(account: AwsAccount) -> dict[str, str]:
    found = account.client("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]
    return {mark_of(key["AccessKeyId"]): key["Status"] for key in found}


def marks(cluster: Cluster) -> list[str]:
    """What our connectors carry, standalone or inside a model, in place of a fingerprint."""
    inside = [model["connector"] for model in cluster.search("models") if "connector" in model]
    return [one["parameters"]["opensearch_ml_credential"] for one in (*cluster.search("connectors"), *inside)]


# ---- provisioning


@pytest.mark.parametrize(
    ("rotation", "inline"),
    [
        pytest.param(KEYS, False, id="key-standalone"),
        pytest.param(KEYS, True, id="key-internal", marks=pytest.mark.slow),
        pytest.param(SESSIONS, False, id="session-standalone", marks=pytest.mark.slow),
        pytest.param(SESSIONS, True, id="session-internal", marks=pytest.mark.slow),
    ],
)
def test_the_source_gives_the_first_credential_and_a_second_run_writes_nothing(
    rotation: dict[str, Any],
    inline: bool,
    embedding: Callable[..., Blueprint],
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    account: AwsAccount,
) -> None:
    blueprint = embedding(rotation, inline=inline)
    model_id = provision(hook36, blueprint)
    (mark,) = marks(cluster36)
    if rotation is KEYS:
        assert keys(account) == {mark: "Active"}
    else:
        assert SessionLabel.parse(mark)
    account.forget_writes()
    sessions, written = len(account.sessions()), cluster36.writes()
    assert provision(hook36, blueprint) == model_id
    assert cluster36.writes() == written
    assert account.writes() == {}
    assert len(account.sessions()) == sessions


@pytest.mark.parametrize("rotation", [KEYS, SESSIONS], ids=["key", "session"])
def test_preflight_asks_the_source_before_anything_is_written(
    rotation: dict[str, Any],
    embedding: Callable[..., Blueprint],
    hook36: OpenSearchMLHook,
    account: AwsAccount,
) -> None:
    blueprint = embedding(rotation)

    def report() -> Report:
        return preflight(
            hook36,
            hook36,
            lambda: blueprint,
            Target(name="tests"),
            aws_conn_id="aws_default",
            check_source=lambda blueprint: check_source(blueprint, hook36),
        )

    assert report().problems == []
    account.set_user_statements("caller-of-aws_default", [])
    account.delete_role(ROLE_NAME)
    account.create_role(ROLE_NAME, [])  # trusted by nobody
    account.forget_writes()
    (refused,) = report().problems
    assert isinstance(refused, PermissionDenied)
    assert "aws iam put-user-policy --user-name caller-of-aws_default" in refused.fix
    assert account.writes() == {}


@pytest.mark.slow
def test_a_session_that_is_due_is_left_to_the_rotation(
    embedding: Callable[..., Blueprint], hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    account.set(longest_session_s=8)
    blueprint = embedding(SESSIONS | {"refresh_at": 0.1})
    model_id = provision(hook36, blueprint)
    source = source_for(blueprint, hook36)
    (mark,) = marks(cluster36)
    while source.serves(mark):
        time.sleep(0.1)
    assert register(hook36, blueprint) == model_id
    session = SessionLabel.parse(mark)
    assert session
    time.sleep(max(0.0, (session.until - datetime.now(timezone.utc)).total_seconds()))
    with pytest.raises(InUse, match="opensearch_ml_rotate_credentials"):
        register(hook36, blueprint)
    account.set(longest_session_s=None)
    assert rotated(hook36, blueprint).outcome == "rotated"  # although it has ended
    assert register(hook36, blueprint) == model_id


def test_a_key_that_no_connector_could_get_is_taken_back(
    embedding: Callable[..., Blueprint], hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    blueprint = embedding(KEYS)
    with pytest.raises(UntrustedEndpoint):
        register(hook36, blueprint)  # nothing was prepared
    assert keys(account) == {}
    provision(hook36, blueprint)
    assert list(keys(account)) == marks(cluster36)


@pytest.mark.slow
def test_what_is_torn_down_leaves_a_key_that_the_next_provisioning_replaces(
    embedding: Callable[..., Blueprint], hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    provision(hook36, embedding(KEYS))
    first = marks(cluster36)
    cluster36.clean()
    provision(hook36, embedding(KEYS))
    assert marks(cluster36) != first
    assert keys(account) == {marks(cluster36)[0]: "Active"}


# ---- rotations


def test_a_users_key_is_rotated(
    embedding: Callable[..., Blueprint], hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    blueprint = embedding(KEYS)
    model_id = provision(hook36, blueprint)
    (first,) = marks(cluster36)
    assert rotated(hook36, blueprint).outcome == "unchanged"
    record = rotated(hook36, blueprint, force=True)
    assert (record.outcome, record.model_id, record.old_mark) == ("rotated", model_id, first)
    assert marks(cluster36) == [record.new_mark]
    assert keys(account) == {record.new_mark: "Active"}
    assert record.next_due
    assert smoke_predict(hook36, blueprint, model_id)


@pytest.mark.slow
def test_a_key_that_may_not_call_the_model_is_refused_and_deleted(
    embedding: Callable[..., Blueprint], hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    blueprint = embedding(KEYS)
    provision(hook36, blueprint)
    before = keys(account), marks(cluster36)
    account.set_user_statements(USER, [])  # what the new key meets, the old one does too
    with pytest.raises(RotationFailed, match=r"(?s)sagemaker:InvokeEndpoint"):
        rotated(hook36, blueprint, force=True)
    assert (keys(account), marks(cluster36)) == before


@pytest.mark.slow
def test_a_third_key_is_told_before_anything_is_written(
    embedding: Callable[..., Blueprint], hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    blueprint = embedding(KEYS)
    provision(hook36, blueprint)
    account.client("iam").create_access_key(UserName=USER)
    with pytest.raises((RotationFailed, RequestRefused), match="IAM allows 2") as refusal:
        rotated(hook36, blueprint, force=True)
    assert "aws iam delete-access-key" in str(refusal.value)
    assert len(keys(account)) == 2
    assert len(marks(cluster36)) == 1


@pytest.fixture
def chat(platform: ModelEndpoints, account: AwsAccount) -> Blueprint:
    """openai_chat, whose key is in Secrets Manager."""
    catalog = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "include" / "targets")
    found = catalog.blueprint("openai_chat")
    document = found.model_dump(by_alias=True, exclude_unset=True, exclude={"name", "variables"})
    document["connector"]["credential"] = {"openAI_key": {"secret_id": SECRET, "key": "api_key"}}
    action = document["connector"]["actions"][0]
    action["url"] = f"{platform.url}/v1/chat/completions"
    document["connector"]["client_config"] = {"connection_timeout": 2, "read_timeout": 1}
    account.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps({"api_key": "sk-c4n4ry-old"}))
    platform.replace_keys({"openai": ["sk-c4n4ry-old", "sk-c4n4ry-new"]})
    return parse_blueprint("chat", {**document, "rotation": {"source": "secrets_manager"}}, source="chat")


def labelled(account: AwsAccount) -> dict[str, str]:
    client = account.client("secretsmanager")
    found = client.describe_secret(SecretId=SECRET)["VersionIdsToStages"]
    texts = {one: client.get_secret_value(SecretId=SECRET, VersionId=one)["SecretString"] for one in found}
    return {label: json.loads(texts[one])["api_key"] for one, labels in found.items() for label in labels}


def pend(account: AwsAccount, api_key: str) -> None:
    account.client("secretsmanager").put_secret_value(
        SecretId=SECRET, SecretString=json.dumps({"api_key": api_key}), VersionStages=["AWSPENDING"]
    )


def provision_chat(hook: OpenSearchMLHook, blueprint: Blueprint) -> str:
    return provision_with(hook, blueprint, resolver.resolve(blueprint, hook))


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_a_pending_version_is_promoted_exactly_if_the_model_answers_with_it(
    wrong: bool, chat: Blueprint, hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    model_id = provision_chat(hook36, chat)
    assert rotated(hook36, chat).outcome == "unchanged"
    pending = "sk-c4n4ry-wrong" if wrong else "sk-c4n4ry-new"
    pend(account, pending)
    if wrong:
        with pytest.raises(RotationFailed) as refusal:
            rotated(hook36, chat)
        assert "c4n4ry" not in str(refusal.value)
        assert labelled(account) == {"AWSCURRENT": "sk-c4n4ry-old", "AWSPENDING": pending}
    else:
        assert rotated(hook36, chat).outcome == "rotated"
        assert labelled(account) == {"AWSCURRENT": pending, "AWSPENDING": pending, "AWSPREVIOUS": "sk-c4n4ry-old"}
        assert rotated(hook36, chat).outcome == "unchanged"
    assert smoke_predict(hook36, chat, model_id)
    assert len(marks(cluster36)) == 1


# ---- killed

IN_A_ROTATION = [one for one in KeyStep if one not in (KeyStep.ACTIVATE, KeyStep.DELETE_NEW)]  # these: after a failure


def killed(blueprint: Blueprint, step: Enum) -> bool:
    """Rotate in a process of its own, killed before that step; tell whether it came to that."""

    def run(journal: SourceJournal) -> None:
        hook = OpenSearchMLHook()  # a process that was forked may not use the connections of the one before
        source = source_for(blueprint, hook, verify_s=0, on_step=journal)
        rotate(hook, blueprint, source, token="killed", limits=QUICK, force=True)

    return killed_at(run, step, "before")


@pytest.mark.slow
@pytest.mark.parametrize("step", IN_A_ROTATION)
def test_a_rotation_killed_at_any_step_of_its_key_is_finished_by_the_next(
    step: KeyStep,
    embedding: Callable[..., Blueprint],
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    account: AwsAccount,
) -> None:
    blueprint = embedding(KEYS)
    model_id = provision(hook36, blueprint)
    assert killed(blueprint, step)
    assert smoke_predict(hook36, blueprint, model_id)  # whatever stands, it answers
    rotated(hook36, blueprint)
    assert keys(account) == {marks(cluster36)[0]: "Active"}
    assert len(marks(cluster36)) == len(cluster36.search("models")) == 1
    assert rotated(hook36, blueprint).outcome == "unchanged"
    assert smoke_predict(hook36, blueprint, model_id)


@pytest.mark.slow
def test_a_rotation_killed_before_a_promotion_promotes_with_the_next(
    chat: Blueprint, hook36: OpenSearchMLHook, cluster36: Cluster, account: AwsAccount
) -> None:
    model_id = provision_chat(hook36, chat)
    pend(account, "sk-c4n4ry-new")
    assert killed(chat, SecretStep.PROMOTE)
    assert labelled(account)["AWSCURRENT"] == "sk-c4n4ry-old"
    assert rotated(hook36, chat).outcome == "rotated"
    assert labelled(account)["AWSCURRENT"] == "sk-c4n4ry-new"
    assert labelled(account)["AWSPREVIOUS"] == "sk-c4n4ry-old"
    assert len(marks(cluster36)) == len(cluster36.search("models")) == 1
    assert smoke_predict(hook36, chat, model_id)


# ---- sessions that end


@pytest.mark.slow
@pytest.mark.timeout(900)
# A refresh lasts at least as long as a call may, which is 8 s here, and the next one follows it: a life must hold both.
@pytest.mark.parametrize(("life_s", "refresh_at", "refreshes", "per_second"), [(30.0, 0.2, 2, 10), (60.0, 0.4, 10, 15)])
def test_sessions_are_carried_through_their_ends_without_a_failed_predict(
    life_s: float,
    refresh_at: float,
    refreshes: int,
    per_second: int,
    embedding: Callable[..., Blueprint],
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    account: AwsAccount,
    platform: ModelEndpoints,
) -> None:
    account.set(longest_session_s=life_s)
    blueprint = embedding(SESSIONS | {"refresh_at": refresh_at}, read_timeout=8)
    model_id = provision(hook36, blueprint)
    source = source_for(blueprint, hook36)
    ends = []
    with load(cluster36, model_id, ASK, per_second=per_second) as answers:
        for _ in range(refreshes):
            (mark,) = marks(cluster36)
            while source.serves(mark):
                time.sleep(0.05)
            record = rotated(hook36, blueprint)
            assert record.outcome == "rotated"
            session = SessionLabel.parse(record.old_mark)
            assert session
            ends.append(session.until)
        last_end = ends[-2]
        while datetime.now(timezone.utc) < last_end:
            time.sleep(0.05)
        smoke_predict(hook36, blueprint, model_id)  # all sessions but the last two have ended
    assert answers.failed == []
    assert len(answers.answers) > refreshes * life_s * refresh_at
    assert len(platform.counts_by_fingerprint()) >= refreshes + 1
    print(f"{len(answers.answers)} predicts, {answers.per_second:.0f}/s, p99 {answers.p99_ms():.0f} ms")
