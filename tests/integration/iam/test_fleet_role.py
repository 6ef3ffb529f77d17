"""A role that is missing, or was changed, is seen by the plan's question, mended by its step, and right afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile import actions, planning
from opensearch_ml.reconcile.apply_context import ApplyContext
from tests.support.iam_roles import DOMAIN, INVOKE, NAME, OTHER_DOMAIN, POLICY, Connect, assume, document, trust
from tests.support.parsing import parse_blueprint


def delete(account: AwsAccount) -> None:
    iam = account.client("iam")
    iam.delete_role_policy(RoleName=NAME, PolicyName=POLICY)
    iam.delete_role(RoleName=NAME)


def change_the_policy(account: AwsAccount) -> None:
    other = {**INVOKE, "Resource": f"{INVOKE['Resource']}-of-others"}
    told = json.dumps({"Version": "2012-10-17", "Statement": [other]})
    account.client("iam").put_role_policy(RoleName=NAME, PolicyName=POLICY, PolicyDocument=told)


def change_the_trust(account: AwsAccount) -> None:
    told = json.dumps({"Version": "2012-10-17", "Statement": [trust(OTHER_DOMAIN)]})
    account.client("iam").update_assume_role_policy(RoleName=NAME, PolicyDocument=told)


@pytest.mark.parametrize("drift", [delete, change_the_policy, change_the_trust])
def test_a_role_that_has_drifted_is_mended(
    account: AwsAccount, connect: Connect, monkeypatch: pytest.MonkeyPatch, drift: Callable[[AwsAccount], None]
) -> None:
    connect()
    cluster = {"conn_type": "opensearch", "host": "search.example.com"}
    extra = {"domain_arn": DOMAIN, "aws_conn_id": "aws_default"}
    monkeypatch.setenv("AIRFLOW_CONN_OPENSEARCH_DEFAULT", json.dumps({**cluster, "extra": extra}))
    hook, blueprint = OpenSearchMLHook(), parse_blueprint("embedding", document(), source="embedding")
    lacks = planning._role_lacks(hook, None)
    applying = ApplyContext(hook, Catalog.__new__(Catalog), Target(name="t"), None, None, "run-1")
    assert lacks
    assert lacks(blueprint) is None
    assert "created" in actions.mend_role(applying, blueprint)
    assert lacks(blueprint) == ()
    drift(account)
    assert lacks(blueprint) != ()
    assert actions.mend_role(applying, blueprint)
    assert lacks(blueprint) == ()
    assume(account)
