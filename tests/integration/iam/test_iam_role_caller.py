"""What the caller may and may not do, with IAM enforced, and what IAM needs time for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.errors import NotYetEffective, PermissionDenied, Unreachable
from opensearch_ml.iam import cli_commands
from opensearch_ml.iam.ensure_role import delete_iam_role, ensure_iam_role
from tests.support.iam_roles import (
    INVOKE,
    NAME,
    OTHER_DOMAIN,
    ROLE,
    UNMANAGED,
    Connect,
    assume,
    connection,
    role,
    trust,
)


@pytest.fixture
def _enforced(account: AwsAccount) -> Iterator[None]:
    with account.checking_calls():
        yield


def statements(*, but: str = "") -> list[dict[str, Any]]:
    """Those of `maker_policy`, but for one action."""
    made = cli_commands.maker_policy(ROLE)["Statement"]
    return [{**one, "Action": [action for action in one["Action"] if action != but]} for one in made]


@pytest.mark.usefixtures("_enforced")
def test_the_makers_policy_is_enough_to_make_share_check_and_delete_a_role(
    account: AwsAccount, connect: Connect
) -> None:
    access = connect(statements())
    other = role(domain=OTHER_DOMAIN)
    assert ensure_iam_role(access, role()).action == "created"
    assert ensure_iam_role(access, other).action == "updated"
    assert ensure_iam_role(access, role()).details == ()
    assert delete_iam_role(access, role()).action == "deleted"
    assert "the role itself" in delete_iam_role(access, other).details


@pytest.mark.usefixtures("_enforced")
@pytest.mark.parametrize("action", [action for action in cli_commands.MAKING if action != "iam:TagRole"])
def test_an_action_that_the_caller_lacks_is_told_with_the_statement_that_lets_it(
    account: AwsAccount, connect: Connect, action: str
) -> None:
    if action in ("iam:UpdateAssumeRolePolicy", "iam:GetRolePolicy"):
        account.create_role(NAME, [trust(OTHER_DOMAIN)])
    with pytest.raises(PermissionDenied) as raised:
        ensure_iam_role(connect(statements(but=action)), role())
    assert raised.value.cause == f"arn:aws:iam::123456789012:user/caller-of-aws_default may not {action} on {ROLE}"
    assert "AccessDenied" in raised.value.evidence
    document = raised.value.fix.partition("--policy-document ")[2].strip("'")
    assert json.loads(document)["Statement"] == [{"Effect": "Allow", "Action": action, "Resource": ROLE}]


@pytest.mark.usefixtures("_enforced")
@pytest.mark.parametrize("action", [*cli_commands.CHECKING, *cli_commands.CHECKING_POLICIES])
def test_what_the_caller_may_not_check_is_said_and_the_role_is_made(
    account: AwsAccount, connect: Connect, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    account.create_role(NAME, [trust(OTHER_DOMAIN)])
    made = account.client("iam").create_policy(
        PolicyName="attached", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [INVOKE]})
    )
    account.client("iam").attach_role_policy(RoleName=NAME, PolicyArn=made["Policy"]["Arn"])
    access = connect(statements(but=action))
    changed = ensure_iam_role(access, role())
    assert changed.action == "updated"
    assert f"may not {action}" in caplog.text
    assert ("could not be asked" in str(changed)) == (action == "iam:SimulatePrincipalPolicy")
    assume(account)
    account.forget_writes()
    assert ensure_iam_role(access, role()).action == "unchanged"
    assert account.writes() == {}


@pytest.mark.usefixtures("_enforced")
def test_an_unmanaged_role_that_may_not_be_read_is_said_to_be_unchecked(account: AwsAccount, connect: Connect) -> None:
    changed = ensure_iam_role(connect([]), role(**UNMANAGED))
    assert changed.action == "unchanged"
    assert "could not be checked, the caller may not read it (GetRole -> AccessDenied" in str(changed)


@pytest.mark.usefixtures("_enforced")
def test_a_role_of_the_connection_that_may_not_be_assumed_is_told_as_that(
    account: AwsAccount, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.create_role("maker", [], statements())
    user = account.create_user("nobody")
    access = connect()
    text = connection(account, **user, role_arn="arn:aws:iam::123456789012:role/maker")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", text)
    with pytest.raises(PermissionDenied, match="connection aws_default may not assume its role"):
        ensure_iam_role(access, role())


def test_an_iam_that_does_not_answer_may_answer_later(account: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.loads(connection(account, **account.create_user("maker")))
    text["extra"]["endpoint_url"] = "http://127.0.0.1:9"  # STS is reached by an address of its own
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(text))
    with pytest.raises(Unreachable):
        ensure_iam_role(AwsAccess("aws_default"), role())


# ---- IAM's delay


@pytest.mark.parametrize("there", [False, True], ids=["new role", "changed role"])
def test_it_is_waited_until_aws_goes_by_what_was_written(account: AwsAccount, connect: Connect, there: bool) -> None:
    access = connect()
    if there:
        ensure_iam_role(access, role(endpoint="old"))
    account.set(propagation_s=2.0)
    started = time.monotonic()
    ensure_iam_role(access, role())
    assert 2.0 <= time.monotonic() - started < 15
    key = assume(account)["access_key_id"]
    assert account.authorize("sagemaker:InvokeEndpoint", INVOKE["Resource"], access_key_id=key) == "allowed"


def test_what_does_not_spread_in_time_may_later_and_is_not_written_again(account: AwsAccount, connect: Connect) -> None:
    account.set(propagation_s=3.0)
    access = connect()
    with pytest.raises(NotYetEffective) as raised:
        ensure_iam_role(access, role(), wait_s=0.5)
    assert "SimulatePrincipalPolicy sagemaker:InvokeEndpoint" in raised.value.evidence
    account.forget_writes()
    assert ensure_iam_role(access, role()).action == "unchanged"
    assert account.writes() == {}
