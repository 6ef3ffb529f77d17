"""The role is made, extended and compared, against the account's IAM."""

from __future__ import annotations

import json
import logging
import shlex
from typing import Any

import pytest

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.errors import Final, InvalidConnection, NotFound, OpenSearchMLError, PermissionDenied, RequestRefused
from opensearch_ml.iam.ensure_role import ensure_iam_role, what_lacks
from opensearch_ml.iam.role_client import RoleInIam
from tests.support.iam_roles import (
    ACCOUNT,
    DOMAIN,
    ENDPOINT,
    INVOKE,
    NAME,
    OLD_SERVICE,
    OTHER_DOMAIN,
    POLICY,
    REGION,
    ROLE,
    SERVICE,
    TAG,
    UNMANAGED,
    assume,
    connection,
    policies_of,
    role,
    trust,
    trust_of,
)


class Killed(BaseException):
    """Stands for the end of a worker's process."""


# ---- a role of ours


def test_a_missing_role_is_created_and_the_domain_can_use_it(account: AwsAccount, access: AwsAccess) -> None:
    changed = ensure_iam_role(access, role(iam_role={"description": "for tests"}))
    assert (changed.action, changed.id) == ("created", ROLE)
    found = account.client("iam").get_role(RoleName=NAME)["Role"]
    assert (found["Description"], found["Path"], found["Tags"]) == ("for tests", "/", [TAG])
    (statement,) = trust_of(account)
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": DOMAIN},
    }
    assert policies_of(account) == {POLICY: [INVOKE]}
    key = assume(account)["access_key_id"]
    assert account.authorize("sagemaker:InvokeEndpoint", ENDPOINT, access_key_id=key) == "allowed"
    assert account.authorize("sagemaker:InvokeEndpoint", f"{ENDPOINT}-2", access_key_id=key) == "implicitDeny"


def test_a_second_run_writes_nothing(account: AwsAccount, access: AwsAccess) -> None:
    ensure_iam_role(access, role())
    account.forget_writes()
    assert ensure_iam_role(access, role()).action == "unchanged"
    assert account.writes() == {}


def test_path_and_boundary_are_those_that_the_blueprint_says(account: AwsAccount, access: AwsAccess) -> None:
    boundary = managed_policy(account, "limit", {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"})
    wanted = role(role_arn=ROLE.replace(NAME, f"models/{NAME}"), iam_role={"permissions_boundary": boundary})
    ensure_iam_role(access, wanted)
    found = account.client("iam").get_role(RoleName=NAME)["Role"]
    assert found["Arn"] == wanted.arn
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary


@pytest.mark.parametrize("call", ["put_policy", "create"])
def test_a_run_that_is_killed_is_completed_by_the_next(
    account: AwsAccount, access: AwsAccess, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    whole = getattr(RoleInIam, call)

    def die(iam: RoleInIam) -> None:
        if call == "create":
            whole(iam)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RoleInIam, call, die)
        with pytest.raises(Killed):
            ensure_iam_role(access, role())
    assert account.client("iam").get_role(RoleName=NAME)["Role"]["Tags"] == [TAG]
    assert ensure_iam_role(access, role()).action == "updated"
    assert policies_of(account) == {POLICY: [INVOKE]}
    assert account.writes()["iam:CreateRole"] == 1


def test_a_stale_policy_of_ours_is_replaced_and_the_difference_is_logged(
    account: AwsAccount, access: AwsAccess, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_iam_role(access, role(endpoint="old"))
    account.forget_writes()
    with caplog.at_level(logging.INFO):
        ensure_iam_role(access, role())
    assert account.writes() == {"iam:PutRolePolicy": 1}
    assert policies_of(account) == {POLICY: [INVOKE]}
    lines = [line.strip() for line in caplog.text.splitlines()]
    assert any(line.startswith("-") and line.endswith('endpoint/old"') for line in lines)
    assert any(line.startswith("+") and line.endswith('endpoint/embedding"') for line in lines)


def test_two_domains_share_a_role_with_a_policy_for_each(account: AwsAccount, access: AwsAccess) -> None:
    ensure_iam_role(access, role())
    other = role(domain=OTHER_DOMAIN, region="eu-west-1")
    assert ensure_iam_role(access, other).action == "updated"
    account.forget_writes()
    for wanted in (role(), other):
        assert ensure_iam_role(access, wanted).action == "unchanged"
    assert account.writes() == {}
    (statement,) = trust_of(account)
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"] == [OTHER_DOMAIN, DOMAIN]
    assert len(policies_of(account)) == 2


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_a_role_of_another_partition_is_made_there(
    account: AwsAccount, monkeypatch: pytest.MonkeyPatch, partition: str, region: str
) -> None:
    iam = account.client("iam", region)
    iam.create_user(UserName="maker")
    key = iam.create_access_key(UserName="maker")["AccessKey"]
    login = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection(account, **login, region_name=region))
    arn, domain = (text.replace("arn:aws:", f"arn:{partition}:").replace(REGION, region) for text in (ROLE, DOMAIN))
    wanted = role(role_arn=arn, domain=domain, region=region)
    assert ensure_iam_role(AwsAccess(), wanted).id == arn
    assert ensure_iam_role(AwsAccess(), wanted).action == "unchanged"
    (statement,) = iam.get_role_policy(RoleName=NAME, PolicyName=wanted.policy_name)["PolicyDocument"]["Statement"]
    assert statement["Resource"] == ENDPOINT.replace("arn:aws:", f"arn:{partition}:").replace(REGION, region)


# ---- a role of others


def test_a_role_made_by_hand_is_extended_and_nothing_of_it_is_lost(
    account: AwsAccount, access: AwsAccess, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = trust(OTHER_DOMAIN, Sid="Foreign")
    account.create_role(NAME, [foreign], [{**INVOKE, "Resource": f"{ENDPOINT}-2"}])
    account.forget_writes()
    with caplog.at_level(logging.INFO):
        assert ensure_iam_role(access, role()).action == "updated"
    assert account.writes() == {"iam:UpdateAssumeRolePolicy": 1, "iam:PutRolePolicy": 1}
    assert trust_of(account)[0] == foreign
    assert policies_of(account)["allowed"] == [{**INVOKE, "Resource": f"{ENDPOINT}-2"}]
    assert "Tags" not in account.client("iam").get_role(RoleName=NAME)["Role"]
    assert '+      "Sid": "OpenSearchML"' in caplog.text
    assume(account)
    assume(account, OTHER_DOMAIN)


@pytest.mark.parametrize("attached", [True, False], ids=["attached", "inline"])
def test_what_others_allow_already_is_not_written_again(account: AwsAccount, access: AwsAccess, attached: bool) -> None:
    allowing = {"Effect": "Allow", "Action": ["sagemaker:Invoke*"], "Resource": "*"}
    account.create_role(NAME, [trust(DOMAIN)], [] if attached else [allowing])
    if attached:
        arn = managed_policy(account, "invoke", allowing)
        account.client("iam").attach_role_policy(RoleName=NAME, PolicyArn=arn)
    account.forget_writes()
    assert ensure_iam_role(access, role()).action == "unchanged"
    assert account.writes() == {}


def test_a_role_that_lets_every_account_in_is_warned_of(
    account: AwsAccount, access: AwsAccess, caplog: pytest.LogCaptureFixture
) -> None:
    account.create_role(NAME, [trust(Condition={})])
    ensure_iam_role(access, role())
    assert "for every domain of every account" in caplog.text


# ---- what no addition mends


def denial(action: str, resource: str = "*") -> dict[str, Any]:
    return {"Sid": "No", "Effect": "Deny", "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("trusts", "statements", "words"),
    [
        ([trust(DOMAIN)], [denial("sagemaker:*")], ["policy allowed denies role", '"Sid": "No"', "sagemaker:Invoke"]),
        ([trust(DOMAIN), trust(DOMAIN, Sid="Not", Effect="Deny")], [INVOKE], ["statement Not denies it"]),
        (
            [trust(DOMAIN, Sid="OpenSearchML", Condition={"StringEquals": {"aws:SourceOrgID": "o-abcdefghij"}})],
            [INVOKE],
            ["aws:SourceOrgID", "others must correct"],
        ),
    ],
    ids=["permission denied", "trust denied", "foreign condition in our statement"],
)
def test_what_no_addition_mends_is_told_and_nothing_is_written(
    account: AwsAccount, access: AwsAccess, trusts: list[Any], statements: list[Any], words: list[str]
) -> None:
    account.create_role(NAME, trusts, statements)
    account.forget_writes()
    with pytest.raises(PermissionDenied) as raised:
        ensure_iam_role(access, role())
    for word in words:
        assert word in str(raised.value)
    with pytest.raises(Final) as foreseen:
        what_lacks(access, role())
    assert str(foreseen.value) == str(raised.value)
    assert account.writes() == {}


@pytest.mark.parametrize("there", [True, False], ids=["existing role", "missing role"])
def test_a_boundary_that_does_not_allow_what_is_needed_is_told(
    account: AwsAccount, access: AwsAccess, there: bool
) -> None:
    boundary = managed_policy(account, "limit", {"Effect": "Allow", "Action": "bedrock:*", "Resource": "*"})
    if there:
        account.create_role(NAME, [trust(DOMAIN)], PermissionsBoundary=boundary)
    account.forget_writes()
    with pytest.raises(PermissionDenied, match="does not allow sagemaker:InvokeEndpoint") as raised:
        ensure_iam_role(access, role(iam_role={"permissions_boundary": boundary}))
    assert f"add {json.dumps(INVOKE)} to {boundary}" in raised.value.fix
    assert account.writes() == {}


@pytest.mark.parametrize(
    ("arn", "error", "cause"),
    [
        (ROLE.replace(NAME, f"other/{NAME}"), NotFound, "is another one than the connector names"),
        (ROLE.replace(ACCOUNT, "999999999999"), InvalidConnection, "is of another AWS account than the role"),
    ],
    ids=["path", "account"],
)
def test_a_role_of_that_name_but_elsewhere_is_told_apart(
    account: AwsAccount, access: AwsAccess, arn: str, error: type[OpenSearchMLError], cause: str
) -> None:
    account.create_role(NAME, [trust(DOMAIN)], [INVOKE])
    account.forget_writes()
    owner = arn.split(":")[4]
    with pytest.raises(error, match=cause):
        ensure_iam_role(access, role(role_arn=arn, domain=DOMAIN.replace(ACCOUNT, owner)))
    assert account.writes() == {}


def test_a_trust_policy_that_iam_would_find_too_long_is_not_sent(account: AwsAccount, access: AwsAccess) -> None:
    many = [DOMAIN.replace("domain/search", f"domain/search-{number:020}") for number in range(25)]
    account.create_role(NAME, [trust(*many)], [INVOKE])
    account.forget_writes()
    with pytest.raises(RequestRefused, match="longer than IAM takes"):
        ensure_iam_role(access, role())
    assert account.writes() == {}


# ---- a role that is not ours to write


def test_an_unmanaged_role_that_is_missing_is_told_with_commands_that_make_it(
    account: AwsAccount, access: AwsAccess
) -> None:
    with pytest.raises(NotFound) as raised:
        ensure_iam_role(access, role(**UNMANAGED))
    assert account.writes() == {}
    run(account, raised.value.fix)
    account.forget_writes()
    assert ensure_iam_role(access, role(**UNMANAGED)).action == "unchanged"
    assume(account)


@pytest.mark.parametrize(
    ("trusts", "statements", "words"),
    [
        ([trust(OTHER_DOMAIN)], [INVOKE], ["does not let the domain in", "aws:SourceArn"]),
        ([trust(DOMAIN)], [], [f"may not sagemaker:InvokeEndpoint on {ENDPOINT}", "its policies (none)"]),
    ],
    ids=["trust", "permission"],
)
def test_an_unmanaged_role_that_cannot_work_is_told_with_the_command_that_mends_it(
    account: AwsAccount, access: AwsAccess, trusts: list[Any], statements: list[Any], words: list[str]
) -> None:
    account.create_role(NAME, trusts, statements)
    account.forget_writes()
    with pytest.raises(PermissionDenied) as raised:
        ensure_iam_role(access, role(**UNMANAGED))
    for word in [*words, "iam_role: {}"]:
        assert word in str(raised.value)
    with pytest.raises(Final) as foreseen:
        what_lacks(access, role(**UNMANAGED))
    assert str(foreseen.value) == str(raised.value)
    assert account.writes() == {}
    run(account, raised.value.fix)
    assert ensure_iam_role(access, role(**UNMANAGED)).action == "unchanged"


def test_an_unmanaged_role_that_works_otherwise_than_wanted_is_warned_of(
    account: AwsAccount, access: AwsAccess, caplog: pytest.LogCaptureFixture
) -> None:
    account.create_role(NAME, [trust(DOMAIN)], [INVOKE])
    account.forget_writes()
    wanted = role(iam_role={"manage": False, "trusted_services": [SERVICE, OLD_SERVICE]})
    assert ensure_iam_role(access, wanted).action == "unchanged"
    assert account.writes() == {}
    assert f'+          "{OLD_SERVICE}"' in caplog.text


def managed_policy(account: AwsAccount, name: str, statement: dict[str, Any]) -> str:
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return str(account.client("iam").create_policy(PolicyName=name, PolicyDocument=text)["Policy"]["Arn"])


def run(account: AwsAccount, fix: str) -> None:
    """Do what the commands in a fix say, as the AWS command line would."""
    iam, commands = account.client("iam"), fix[fix.index("aws iam") :].splitlines()
    for words in map(shlex.split, commands):
        options = dict(zip(words[3::2], words[4::2], strict=True))
        arguments = {
            "".join(part.capitalize() for part in name[2:].split("-")): value for name, value in options.items()
        }
        getattr(iam, words[2].replace("-", "_"))(**arguments)
