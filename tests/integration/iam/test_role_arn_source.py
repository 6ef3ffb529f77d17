"""A role that the domain assumes: a rotation has nothing to do, and says whether the role is right."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.credentials.fingerprint import fingerprint
from opensearch_ml.errors import NotFound, OpenSearchMLError, PermissionDenied
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam.ensure_role import ensure_iam_role
from opensearch_ml.rotation.sources import source_for, supply_for
from opensearch_ml.rotation.sources.connection import ConnectionSource
from opensearch_ml.rotation.sources.role_arn import RoleArnSource
from tests.support.cluster import connections
from tests.support.iam_roles import DOMAIN, NAME, OTHER_DOMAIN, ROLE, document, role, trust
from tests.support.parsing import parse_blueprint

OF_A_DOMAIN = {"conn_type": "opensearch", "extra": {"domain_arn": DOMAIN, "aws_conn_id": "aws_default"}}


@pytest.fixture
def hook() -> Iterator[OpenSearchMLHook]:
    with connections(opensearch_default=json.dumps(OF_A_DOMAIN)):
        yield OpenSearchMLHook()


@pytest.fixture
def source(hook: OpenSearchMLHook, access: AwsAccess) -> RoleArnSource:
    made = source_for(parse_blueprint("embedding", document(), source="embedding"), hook)
    assert isinstance(made, RoleArnSource)
    return made


def test_a_right_role_is_told_and_nothing_is_written(
    source: RoleArnSource, access: AwsAccess, account: AwsAccount
) -> None:
    ensure_iam_role(access, role())
    account.forget_writes()
    mark = fingerprint({"roleArn": ROLE})
    assert source.serves(mark)
    assert source.recover(mark, []) == []
    assert source.check()[0] == f"role {ROLE} has nothing to rotate, and was checked: trust and permissions are right"
    assert source.due(mark) is None
    assert source.retire(mark) == []
    assert source.previous() is None
    assert account.writes() == {}


def test_another_role_in_the_blueprint_is_a_change_like_any_other(
    source: RoleArnSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The account has no domain here; fingerprints are salted with the cluster's uuid.
    monkeypatch.setattr(OpenSearchMLHook, "cluster_uuid", lambda _: "nowhere")
    before = fingerprint({"roleArn": ROLE + "-before"})
    assert not source.serves(before)
    assert source.resume(before) is None
    new = source.next()
    assert new.credential == {"roleArn": ROLE}
    assert source.serves(new.mark)
    assert source.resume(new.mark)


@pytest.mark.parametrize(
    ("broken", "error", "words"),
    [
        ("nothing", NotFound, "there is no IAM role"),
        ("trust", PermissionDenied, "trust"),
        ("permissions", OpenSearchMLError, "sagemaker:InvokeEndpoint"),
    ],
)
def test_a_role_that_drifted_is_told(
    broken: str,
    error: type[OpenSearchMLError],
    words: str,
    source: RoleArnSource,
    access: AwsAccess,
    account: AwsAccount,
) -> None:
    iam = account.client("iam")
    if broken != "nothing":
        ensure_iam_role(access, role())
    if broken == "trust":
        others = {"Version": "2012-10-17", "Statement": [trust(OTHER_DOMAIN)]}
        iam.update_assume_role_policy(RoleName=NAME, PolicyDocument=json.dumps(others))
    if broken == "permissions":
        for policy in iam.list_role_policies(RoleName=NAME)["PolicyNames"]:
            iam.delete_role_policy(RoleName=NAME, PolicyName=policy)
    with pytest.raises(error, match=f"(?s){words}"):
        source.check()


def test_the_source_is_the_blueprints_to_say(hook: OpenSearchMLHook) -> None:
    sections = {
        None: "role_arn",
        "iam_user_key": "iam_user_key",
        "assume_role": "assume_role",
    }
    for section, name in sections.items():
        written = document()
        if section:
            written["connector"].pop("credential")
            written.pop("iam_role")
            needed = {"user_name": "models"} if section == "iam_user_key" else {"role_arn": ROLE}
            written["rotation"] = {"source": section, **needed}
        blueprint = parse_blueprint("embedding", written, source="embedding")
        assert source_for(blueprint, hook).name == name
        assert (supply_for(blueprint, hook) is not None) == (section is not None)


def test_a_role_behind_a_reference_is_a_secret_like_any_other(hook: OpenSearchMLHook) -> None:
    written = document()
    written["connector"]["credential"] = {"roleArn": {"conn_id": "of_the_model"}}
    written.pop("iam_role")
    assert isinstance(source_for(parse_blueprint("embedding", written, source="embedding"), hook), ConnectionSource)
