"""Calls of the AWS account stand-in that depend on who makes them: the policy simulator, and checks of every call."""

from __future__ import annotations

import time

from local.aws_account.process import AwsAccount, document
from tests.support.aws_cases import (
    ACCOUNT,
    DOMAIN,
    ENDPOINT,
    FROM_DOMAIN,
    INVOKE,
    OURS,
    SERVICE,
    TRUST,
    refusal,
    session_of,
    signed_by,
    status_of,
)

TRUST_IN_ACCOUNT = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}

# ---- the simulator


def test_the_simulator_answers_each_action_on_each_resource(account: AwsAccount) -> None:
    condition = {"StringEquals": {"iam:PassedToService": SERVICE}}
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": f"{OURS}:role/one", "Condition": condition}
    account.create_user("airflow", [passing, {"Effect": "Deny", "Action": "es:*", "Resource": "*"}])
    simulate = account.client("iam").simulate_principal_policy
    asked = {
        "PolicySourceArn": f"{OURS}:user/airflow",
        "ActionNames": ["iam:PassRole", "es:ESHttpGet"],
        "ResourceArns": [f"{OURS}:role/one", f"{OURS}:role/two"],
    }
    entry = {"ContextKeyName": "iam:PassedToService", "ContextKeyType": "string", "ContextKeyValues": [SERVICE]}
    answer = simulate(**asked, ContextEntries=[entry])
    found = [
        (one["EvalActionName"], one["EvalResourceName"][-3:], one["EvalDecision"])
        for one in answer["EvaluationResults"]
    ]
    assert found == [
        ("iam:PassRole", "one", "allowed"),
        ("iam:PassRole", "two", "implicitDeny"),
        ("es:ESHttpGet", "one", "explicitDeny"),
        ("es:ESHttpGet", "two", "explicitDeny"),
    ]
    assert answer["IsTruncated"] is False
    first = simulate(**asked)["EvaluationResults"][0]
    assert (first["EvalDecision"], first["MissingContextValues"]) == ("implicitDeny", ["iam:PassedToService"])


def test_the_simulator_takes_a_role_and_a_resource_policy(account: AwsAccount) -> None:
    simulate = account.client("iam").simulate_principal_policy
    asked = {"PolicySourceArn": account.create_role("caller", [TRUST], [INVOKE]), "ResourceArns": [ENDPOINT]}
    result = simulate(ActionNames=["sagemaker:InvokeEndpoint"], **asked)["EvaluationResults"][0]
    assert result["EvalDecision"] == "allowed"
    everyone = document([{"Effect": "Allow", "Principal": "*", "Action": "es:*", "Resource": "*"}])
    asked = {"ActionNames": ["es:ESHttpGet"], "ResourceArns": [DOMAIN], "ResourcePolicy": everyone}
    account.create_user("airflow")
    result = simulate(PolicySourceArn=f"{OURS}:user/airflow", **asked)["EvaluationResults"][0]
    assert result["EvalDecision"] == "allowed"
    # As IAM has it: with a resource policy the caller is a user, and a role alone does not say which.
    code, words = refusal(simulate, PolicySourceArn=f"{OURS}:role/caller", **asked)
    assert (code, "CallerArn" in words) == ("InvalidInput", True)


def test_the_simulator_knows_only_users_and_roles_that_are_there(account: AwsAccount) -> None:
    simulate = account.client("iam").simulate_principal_policy
    code, words = refusal(simulate, PolicySourceArn=f"{OURS}:user/nobody", ActionNames=["a:B"])
    assert (code, words) == ("NoSuchEntity", "The user with name nobody cannot be found.")
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/airflow"
    assert refusal(simulate, PolicySourceArn=session, ActionNames=["a:B"])[0] == "InvalidInput"


# ---- checked calls


def test_a_refused_call_says_who_may_not_do_what(account: AwsAccount) -> None:
    statement = {"Effect": "Allow", "Action": "iam:GetRole", "Resource": f"{OURS}:role/one"}
    user = signed_by(account.create_user("airflow", [statement]))
    account.create_role("one", [TRUST])
    account.create_role("two", [TRUST])
    iam = account.client("iam", **user)
    with account.checking_calls():
        assert iam.get_role(RoleName="one")
        words = (
            f"User: {OURS}:user/airflow is not authorized to perform: iam:GetRole on resource: role two"
            " because no identity-based policy allows the iam:GetRole action"
        )
        assert refusal(iam.get_role, RoleName="two") == ("AccessDenied", words)
        code, words = refusal(iam.create_role, RoleName="new", AssumeRolePolicyDocument=document([TRUST]))
        assert (code, f"iam:CreateRole on resource: {OURS}:role/new because no" in words) == ("AccessDenied", True)
        assert account.client("sts", **user).get_caller_identity()["Arn"] == f"{OURS}:user/airflow"
        assert account.client("iam").get_role(RoleName="two")  # the account's root user may everything
        assert account.client("sts").get_caller_identity()["Arn"] == f"{OURS}:root"
    assert iam.get_role(RoleName="two")


def test_conditions_on_a_call_see_its_boundary_and_its_tags(account: AwsAccount) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/only"
    condition = {"StringEquals": {"iam:PermissionsBoundary": boundary, "aws:RequestTag/team": "search"}}
    create = {"Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*", "Condition": condition}
    ours = {"StringEquals": {"iam:ResourceTag/team": "search"}}
    delete = {"Effect": "Allow", "Action": "iam:DeleteRole", "Resource": "*", "Condition": ours}
    user = signed_by(account.create_user("airflow", [create, delete]))
    account.create_role("others", [TRUST])
    iam = account.client("iam", **user)
    new = {"RoleName": "new", "AssumeRolePolicyDocument": document([TRUST])}
    with account.checking_calls():
        assert refusal(iam.create_role, **new)[0] == "AccessDenied"
        iam.create_role(**new, PermissionsBoundary=boundary, Tags=[{"Key": "team", "Value": "search"}])
        assert refusal(iam.delete_role, RoleName="others")[0] == "AccessDenied"
        iam.delete_role(RoleName="new")


def test_a_wrong_secret_an_unknown_key_and_a_foreign_token_are_told_apart(account: AwsAccount) -> None:
    key = account.create_user("airflow", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    account.create_domain("logs")
    wrong = {
        "SignatureDoesNotMatch": key | {"secret_access_key": "wrong"},
        "InvalidClientTokenId": key | {"access_key_id": "AKIAIOSFODNN7EXAMPLE"},
    }
    wrong_of_json = {
        "InvalidSignatureException": wrong["SignatureDoesNotMatch"],
        "UnrecognizedClientException": wrong["InvalidClientTokenId"],
    }
    with account.checking_calls():
        for code, credentials in wrong.items():
            assert refusal(account.client("iam", **signed_by(credentials)).list_roles)[0] == code
        for code, credentials in wrong_of_json.items():
            describe = account.client("opensearch", **signed_by(credentials)).describe_domain
            assert refusal(describe, DomainName="logs")[0] == code
        with_token = account.client("iam", **signed_by(key | {"session_token": "of-another"}))
        assert refusal(with_token.list_roles)[0] == "InvalidClientTokenId"


def test_assuming_a_role_needs_its_trust(account: AwsAccount) -> None:
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    user = signed_by(account.create_user("airflow", [may]))
    trusts_us = {"Effect": "Allow", "Principal": {"AWS": f"{OURS}:root"}, "Action": "sts:AssumeRole"}
    with_id = {**trusts_us, "Condition": {"StringEquals": {"sts:ExternalId": "known"}}}
    listing = {"Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"}
    role = account.create_role("ours", [with_id], [listing])
    theirs = account.create_role("services", [TRUST])
    sts = account.client("sts", **user)
    with account.checking_calls():
        session = signed_by(session_of(sts, role, ExternalId="known"))
        assert account.client("iam", **session).list_roles()["Roles"]
        whoami = account.client("sts", **session).get_caller_identity()["Arn"]
        assert whoami == f"arn:aws:sts::{ACCOUNT}:assumed-role/ours/airflow"
        for arn in (role, theirs, f"{OURS}:role/nobody"):
            assert account.authorize("sts:AssumeRole", arn, principal_arn=f"{OURS}:user/airflow") == "implicitDeny"
            code, words = refusal(sts.assume_role, RoleArn=arn, RoleSessionName="airflow")
            assert code == "AccessDenied"
            assert words.endswith(f":user/airflow is not authorized to perform: sts:AssumeRole on resource: {arn}")


def test_a_session_that_is_over_is_refused_as_expired(account: AwsAccount) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    role = account.create_role("caller", [TRUST], [everything])
    first = session_of(account.client("sts"), role)
    iam = account.client("iam", **signed_by(first))
    expired = ("ExpiredToken", "The security token included in the request is expired")
    with account.checking_calls():
        assert iam.list_roles()
        account.expire_sessions()
        assert refusal(iam.list_roles) == expired
        assert account.key(first["access_key_id"])["expires_at"] <= time.time()
        assert status_of(account.authorize, "a:B", "*", access_key_id=first["access_key_id"]) == (403, expired[1])
        account.check_calls(False)
        second = session_of(account.client("sts"), role)
        account.check_calls()
        again = account.client("iam", **signed_by(second))
        assert again.list_roles()
        account.set(session_lifetime_s=0)
        assert refusal(again.list_roles) == expired
        describe = account.client("opensearch", **signed_by(second)).describe_domain
        assert refusal(describe, DomainName="logs")[0] == "ExpiredTokenException"
        account.set(session_lifetime_s=None)
        assert again.list_roles()


def test_the_sessions_of_a_service_do_not_end_with_those_of_callers(account: AwsAccount) -> None:
    role = account.create_role("caller", [TRUST], [INVOKE])
    key = account.assume(role, SERVICE, FROM_DOMAIN)["access_key_id"]
    account.set(session_lifetime_s=0)
    account.expire_sessions()
    assert account.authorize("sagemaker:InvokeEndpoint", ENDPOINT, access_key_id=key) == "allowed"


def test_sts_shortens_sessions_and_says_so(account: AwsAccount) -> None:
    role = account.create_role("caller", [TRUST_IN_ACCOUNT])
    account.set(longest_session_s=30)
    told = account.client("sts").assume_role(RoleArn=role, RoleSessionName="one")["Credentials"]
    assert told["Expiration"].timestamp() - time.time() <= 30
    assert account.key(told["AccessKeyId"])["expires_at"] == told["Expiration"].timestamp()
    account.set(longest_session_s=None)
    told = account.client("sts").assume_role(RoleArn=role, RoleSessionName="one")["Credentials"]
    assert told["Expiration"].timestamp() - time.time() > 3500


def test_no_session_is_longer_than_its_role_allows(account: AwsAccount) -> None:
    role = account.create_role("caller", [TRUST_IN_ACCOUNT], MaxSessionDuration=7200)
    assume = account.client("sts").assume_role
    assert assume(RoleArn=role, RoleSessionName="one", DurationSeconds=7200)
    code, words = refusal(assume, RoleArn=role, RoleSessionName="one", DurationSeconds=7201)
    assert code == "ValidationError"
    assert "exceeds the MaxSessionDuration" in words


def test_a_new_access_key_takes_its_time_to_be_known(account: AwsAccount) -> None:
    account.create_user("airflow")
    with account.checking_calls():
        account.set(key_propagation_s=3.0)  # a busy machine takes a second to make a client
        key = account.client("iam").create_access_key(UserName="airflow")["AccessKey"]
        own = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        ask = account.client("sts", **own).get_caller_identity
        assert refusal(ask)[0] == "InvalidClientTokenId"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                assert ask()["Arn"].endswith("user/airflow")
                break
            except account.client("sts").exceptions.ClientError:
                time.sleep(0.1)
        else:
            raise AssertionError("the key never came to be known")
