"""What a teardown takes back of a role, and what it leaves."""

from __future__ import annotations

import json

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.iam.ensure_role import delete_iam_role, ensure_iam_role
from tests.support.iam_roles import (
    DOMAIN,
    INVOKE,
    NAME,
    OTHER_DOMAIN,
    POLICY,
    UNMANAGED,
    assume,
    policies_of,
    role,
    trust,
    trust_of,
)


def test_what_we_made_goes_and_twice_is_once(account: AwsAccount, access: AwsAccess) -> None:
    ensure_iam_role(access, role())
    changed = delete_iam_role(access, role())
    assert (changed.action, changed.details) == ("deleted", (f"policy {POLICY}", "the role itself"))
    account.forget_writes()
    assert delete_iam_role(access, role()).action == "unchanged"
    assert account.writes() == {}


def test_another_blueprint_of_the_domain_keeps_the_role_and_its_trust(account: AwsAccount, access: AwsAccess) -> None:
    ensure_iam_role(access, role())
    ensure_iam_role(access, role("chat", endpoint="chat"))
    changed = delete_iam_role(access, role())
    assert changed.details[0] == f"policy {POLICY}"
    assert "the role stays: it has other policies (opensearch_ml-chat@us-east-1.search)" in changed.details[1]
    assert list(policies_of(account)) == ["opensearch_ml-chat@us-east-1.search"]
    assume(account)
    assert "the role itself" in delete_iam_role(access, role("chat")).details


def test_another_domain_keeps_the_role_and_its_own_trust_alone(account: AwsAccount, access: AwsAccess) -> None:
    other = role(domain=OTHER_DOMAIN)
    ensure_iam_role(access, role())
    ensure_iam_role(access, other)
    changed = delete_iam_role(access, role())
    assert changed.details[:2] == (f"policy {POLICY}", f"{DOMAIN} in its trust policy")
    (statement,) = trust_of(account)
    assert statement["Condition"]["ArnLike"] == {"aws:SourceArn": OTHER_DOMAIN}
    assert list(policies_of(account)) == [other.policy_name]
    account.forget_writes()
    assert delete_iam_role(access, role()).action == "left"
    assert account.writes() == {}
    assert "the role itself" in delete_iam_role(access, other).details


@pytest.mark.parametrize(
    ("keeper", "why"),
    [
        ("attach_policy", "it has other policies (arn:aws:iam::123456789012:policy/foreign)"),
        ("put_policy", "it has other policies (foreign)"),
        ("instance_profile", "it is in instance profile foreign"),
        ("untag", "we did not create it (it lacks our tag)"),
    ],
)
def test_a_role_that_others_use_stays_and_why_is_told(
    account: AwsAccount, access: AwsAccess, keeper: str, why: str
) -> None:
    iam = account.client("iam")
    ensure_iam_role(access, role())
    text = json.dumps({"Version": "2012-10-17", "Statement": [INVOKE]})
    if keeper == "attach_policy":
        arn = iam.create_policy(PolicyName="foreign", PolicyDocument=text)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName=NAME, PolicyArn=arn)
    elif keeper == "put_policy":
        iam.put_role_policy(RoleName=NAME, PolicyName="foreign", PolicyDocument=text)
    elif keeper == "instance_profile":
        iam.create_instance_profile(InstanceProfileName="foreign")
        iam.add_role_to_instance_profile(InstanceProfileName="foreign", RoleName=NAME)
    else:
        iam.untag_role(RoleName=NAME, TagKeys=["opensearch_ml_owner"])
    changed = delete_iam_role(access, role())
    assert changed.details[0] == f"policy {POLICY}"
    assert f"the role stays: {why}" in changed.details[1]
    assert POLICY not in policies_of(account)


def test_a_trust_statement_of_others_keeps_the_role_and_stays(account: AwsAccount, access: AwsAccess) -> None:
    foreign = trust(OTHER_DOMAIN, Sid="Foreign")
    account.create_role(NAME, [foreign], [INVOKE])
    ensure_iam_role(access, role())
    delete_iam_role(access, role())
    assert trust_of(account) == [foreign]
    assert list(policies_of(account)) == ["allowed"]


def test_an_unmanaged_role_is_left(account: AwsAccount, access: AwsAccess) -> None:
    ensure_iam_role(access, role())
    account.forget_writes()
    assert delete_iam_role(access, role(**UNMANAGED)).action == "left"
    assert account.writes() == {}
