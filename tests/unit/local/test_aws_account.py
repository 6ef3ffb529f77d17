"""What the AWS account stand-in has and tells, through boto3 and HTTP against the running process."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local.aws_account.process import AwsAccount, document
from tests.support.aws_cases import (
    ACCOUNT,
    DOMAIN,
    ENDPOINT,
    FROM_DOMAIN,
    INVOKE,
    OTHER,
    OURS,
    SERVICE,
    TRUST,
    assumable,
    eventually,
    refusal,
    session_of,
    signed_by,
    status_of,
)

# ---- keys


def test_the_key_of_a_user_tells_whose_it_is(account: AwsAccount) -> None:
    made = account.create_user("airflow")
    found = account.key(made["access_key_id"])
    assert found["secret_access_key"] == made["secret_access_key"]
    assert found["principal_arn"] == f"{OURS}:user/airflow"
    assert (found["role_arn"], found["session_token"], found["expires_at"]) == (None, None, None)
    assert found["account_id"] == ACCOUNT


def test_the_key_of_a_session_tells_its_role_and_its_end(account: AwsAccount) -> None:
    role = account.create_role("caller", [TRUST], Path="/models/")
    made = session_of(account.client("sts"), role, DurationSeconds=900)
    found = account.key(made["access_key_id"])
    assert found["session_token"] == made["session_token"]
    assert found["principal_arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/airflow"
    assert found["role_arn"] == role == f"{OURS}:role/models/caller"
    assert 890 < found["expires_at"] - time.time() <= 900


def test_a_session_of_another_accounts_role_is_there(account: AwsAccount) -> None:
    role = account.create_role("theirs", [TRUST], [INVOKE], account_id=OTHER)
    assert role == f"arn:aws:iam::{OTHER}:role/theirs"
    found = account.key(session_of(account.client("sts"), role)["access_key_id"])
    assert found["account_id"] == OTHER
    assert found["principal_arn"] == f"arn:aws:sts::{OTHER}:assumed-role/theirs/airflow"


def test_an_unknown_a_deleted_and_an_inactive_key_are_not_found(account: AwsAccount) -> None:
    made = account.create_user("airflow")["access_key_id"]
    account.client("iam").update_access_key(UserName="airflow", AccessKeyId=made, Status="Inactive")
    assert status_of(account.key, made) == (404, f"no such key: {made}")
    account.client("iam").update_access_key(UserName="airflow", AccessKeyId=made, Status="Active")
    assert account.key(made)
    account.delete_user("airflow")
    assert status_of(account.key, made)[0] == 404
    assert status_of(account.key, "AKIAIOSFODNN7EXAMPLE")[0] == 404


# ---- authorize


def test_inline_attached_and_group_policies_of_a_user_count(account: AwsAccount) -> None:
    iam, key = account.client("iam"), account.create_user("airflow", [INVOKE])["access_key_id"]
    statement = {"Effect": "Allow", "Action": "es:ESHttp*", "Resource": f"{DOMAIN}/*"}
    attached = iam.create_policy(PolicyName="http", PolicyDocument=document([statement]))["Policy"]["Arn"]
    iam.create_group(GroupName="operators")
    group_statement = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
    iam.put_group_policy(GroupName="operators", PolicyName="pass", PolicyDocument=document([group_statement]))
    asked = [
        ("sagemaker:InvokeEndpoint", ENDPOINT),
        ("es:ESHttpPost", f"{DOMAIN}/_plugins"),
        ("iam:PassRole", f"{OURS}:role/x"),
    ]
    decisions = [account.authorize(*question, access_key_id=key) for question in asked]
    assert decisions == ["allowed", "implicitDeny", "implicitDeny"]
    iam.attach_user_policy(UserName="airflow", PolicyArn=attached)
    iam.add_user_to_group(UserName="airflow", GroupName="operators")
    assert {account.authorize(*question, principal_arn=f"{OURS}:user/airflow") for question in asked} == {"allowed"}


def test_a_users_statements_are_exactly_those_that_were_set_last(account: AwsAccount) -> None:
    key = account.create_user("airflow", [INVOKE])["access_key_id"]
    account.set_user_statements("airflow", [{**INVOKE, "Effect": "Deny"}])
    assert account.authorize("sagemaker:InvokeEndpoint", ENDPOINT, access_key_id=key) == "explicitDeny"
    account.set_user_statements("airflow", [])
    assert account.authorize("sagemaker:InvokeEndpoint", ENDPOINT, access_key_id=key) == "implicitDeny"


def test_a_session_may_what_its_role_boundary_and_own_policy_allow(account: AwsAccount) -> None:
    iam = account.client("iam")
    boundary = iam.create_policy(PolicyName="only", PolicyDocument=document([INVOKE]))["Policy"]["Arn"]
    both = {"Effect": "Allow", "Action": ["sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"], "Resource": "*"}
    role = account.create_role("caller", [TRUST], [both], PermissionsBoundary=boundary)

    def decisions(**options: Any) -> list[str]:
        key = session_of(account.client("sts"), role, **options)["access_key_id"]
        actions = ("sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint")
        return [account.authorize(action, ENDPOINT, access_key_id=key) for action in actions]

    assert decisions() == ["allowed", "implicitDeny"]
    nothing = json.dumps({"Version": "2012-10-17", "Statement": [{**INVOKE, "Action": "s3:*"}]})
    assert decisions(Policy=nothing) == ["implicitDeny", "implicitDeny"]
    iam.delete_role_permissions_boundary(RoleName="caller")
    assert decisions() == ["allowed", "allowed"]


def test_conditions_and_resource_policies_count(account: AwsAccount) -> None:
    passed = {"StringEquals": {"iam:PassedToService": SERVICE}}
    statement = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": passed}
    key_id = account.create_user("airflow", [statement])["access_key_id"]
    role = f"{OURS}:role/x"
    for service, decision in ((SERVICE, "allowed"), ("lambda.amazonaws.com", "implicitDeny")):
        context = {"iam:PassedToService": service}
        assert account.authorize("iam:PassRole", role, context=context, access_key_id=key_id) == decision
    access = {"Effect": "Allow", "Principal": {"AWS": f"{OURS}:user/airflow"}, "Action": "es:*", "Resource": "*"}
    resource_policy = {"Version": "2012-10-17", "Statement": [access]}
    assert account.authorize("es:ESHttpGet", DOMAIN, access_key_id=key_id) == "implicitDeny"
    assert account.authorize("es:ESHttpGet", DOMAIN, resource_policy=resource_policy, access_key_id=key_id) == "allowed"


def test_nobody_unknown_is_decided_on(account: AwsAccount) -> None:
    assert status_of(account.authorize, "a:B", "*", access_key_id="AKIAIOSFODNN7EXAMPLE")[0] == 404
    assert status_of(account.authorize, "a:B", "*", principal_arn=f"{OURS}:user/nobody")[0] == 404


# ---- services that assume roles


def test_a_service_gets_a_session_that_has_its_roles_permissions(account: AwsAccount) -> None:
    role = account.create_role("caller", [TRUST], [INVOKE])
    session = account.assume(role, SERVICE, FROM_DOMAIN, session_name="logs")
    assert account.key(session["access_key_id"])["principal_arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/caller/logs"
    assert session["expires_at"] - time.time() > 11 * 3600
    key = {"access_key_id": session["access_key_id"]}
    assert account.authorize("sagemaker:InvokeEndpoint", ENDPOINT, **key) == "allowed"
    assert account.authorize("sagemaker:InvokeEndpoint", f"{ENDPOINT}-2", **key) == "implicitDeny"


@pytest.mark.parametrize(
    ("service", "change"),
    [
        ("es.amazonaws.com", {}),
        (SERVICE, {"aws:SourceAccount": OTHER}),
        (SERVICE, {"aws:SourceArn": f"{DOMAIN}-2"}),
    ],
    ids=["service", "account", "domain"],
)
def test_a_service_that_the_trust_policy_does_not_let_in_is_refused(
    account: AwsAccount, service: str, change: dict[str, str]
) -> None:
    role = account.create_role("caller", [TRUST], [INVOKE])
    words = f"User: {service} is not authorized to perform: sts:AssumeRole on resource: {role}"
    assert status_of(account.assume, role, service, FROM_DOMAIN | change) == (403, words)


def test_a_role_that_is_not_there_is_told_so(account: AwsAccount) -> None:
    account.create_role("caller", [TRUST], Path="/models/")
    for role in (f"{OURS}:role/nobody", f"{OURS}:role/caller", f"arn:aws:iam::{OTHER}:role/models/caller"):
        assert status_of(account.assume, role, SERVICE, FROM_DOMAIN)[0] == 404


# ---- propagation


def test_a_new_role_is_seen_only_once_it_has_propagated(account: AwsAccount) -> None:
    account.set(propagation_s=0.5)
    role = account.create_role("caller", [TRUST], [INVOKE])
    created = time.monotonic()
    assert account.client("iam").get_role(RoleName="caller")["Role"]["Arn"] == role
    assert status_of(account.assume, role, SERVICE, FROM_DOMAIN)[0] == 404
    simulate = account.client("iam").simulate_principal_policy
    assert refusal(simulate, PolicySourceArn=role, ActionNames=["a:B"])[0] == "NoSuchEntity"
    eventually(lambda: assumable(account, role))
    assert time.monotonic() - created >= 0.4


def test_a_changed_policy_counts_only_once_it_has_propagated(account: AwsAccount) -> None:
    role = account.create_role("caller", [TRUST], [INVOKE])
    key = account.assume(role, SERVICE, FROM_DOMAIN)["access_key_id"]
    other = f"{ENDPOINT}-2"

    def decisions() -> list[str]:
        return [account.authorize("sagemaker:InvokeEndpoint", one, access_key_id=key) for one in (ENDPOINT, other)]

    account.set(propagation_s=0.7)
    account.client("iam").put_role_policy(
        RoleName="caller", PolicyName="allowed", PolicyDocument=document([{**INVOKE, "Resource": other}])
    )
    nobody = document([{**TRUST, "Principal": {"Service": "lambda.amazonaws.com"}}])
    account.client("iam").update_assume_role_policy(RoleName="caller", PolicyDocument=nobody)
    assert decisions() == ["allowed", "implicitDeny"]
    assert account.assume(role, SERVICE, FROM_DOMAIN)
    eventually(lambda: decisions() == ["implicitDeny", "allowed"])
    eventually(lambda: not assumable(account, role))
    assert status_of(account.assume, role, SERVICE, FROM_DOMAIN)[0] == 403


def test_a_user_may_at_once_what_it_is_allowed(account: AwsAccount) -> None:
    account.set(propagation_s=60)
    key = account.create_user("airflow", [INVOKE])["access_key_id"]
    assert account.authorize("sagemaker:InvokeEndpoint", ENDPOINT, access_key_id=key) == "allowed"


# ---- domains and endpoints


def test_a_domain_answers_as_it_was_told_to(account: AwsAccount) -> None:
    access = {"Version": "2012-10-17", "Statement": []}
    arn = account.create_domain("logs", "eu-central-1", access_policies=access, endpoint="127.0.0.1:9443")
    allowed = {"Effect": "Allow", "Action": "es:DescribeDomain", "Resource": arn}
    user = signed_by(account.create_user("airflow", [allowed]))
    opensearch = account.client("opensearch", "eu-central-1", **user)
    with account.checking_calls():
        status = opensearch.describe_domain(DomainName="logs")["DomainStatus"]
        assert (status["ARN"], status["Endpoint"]) == (arn, "127.0.0.1:9443")
        assert status["AdvancedSecurityOptions"]["Enabled"] is False
        account.override_domain("eu-central-1", "logs", vpc_endpoint="vpc-logs.invalid", fine_grained=True)
        status = opensearch.describe_domain(DomainName="logs")["DomainStatus"]
        assert (status.get("Endpoint"), status["Endpoints"]) == (None, {"vpc": "vpc-logs.invalid"})
        assert status["AdvancedSecurityOptions"]["Enabled"] is True
        assert refusal(opensearch.describe_domain, DomainName="metrics")[0] == "AccessDeniedException"
        account.set_user_statements("airflow", [{**allowed, "Resource": "*"}])
        assert refusal(opensearch.describe_domain, DomainName="metrics")[0] == "ResourceNotFoundException"
    known = httpx.get(f"{account.url}/_account/domains/eu-central-1/logs", trust_env=False).json()
    assert known == {"arn": arn, "access_policies": access}
    assert httpx.get(f"{account.url}/_account/domains/us-east-1/logs", trust_env=False).status_code == 404


def test_a_sagemaker_endpoint_is_there_once_it_was_made(account: AwsAccount) -> None:
    def status(name: str) -> int:
        answer = httpx.get(f"{account.url}/_account/sagemaker-endpoints/us-east-1/{name}", trust_env=False)
        return answer.status_code

    assert status("embedding") == 404
    account.create_sagemaker_endpoint("Embedding")
    assert status("embedding") == 200


# ---- what was written


def test_writes_that_were_let_through_are_counted_and_reads_are_not(account: AwsAccount) -> None:
    user = signed_by(account.create_user("airflow"))
    account.forget_writes()
    role = account.create_role("caller", [TRUST], [INVOKE])
    iam = account.client("iam")
    iam.get_role(RoleName="caller")
    iam.list_roles()
    iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["a:B"])
    session_of(account.client("sts"), role)
    with account.checking_calls():
        refusal(account.client("iam", **user).delete_role, RoleName="caller")
    assert account.writes() == {"iam:CreateRole": 1, "iam:PutRolePolicy": 1}


def test_of_two_that_create_the_same_role_at_once_one_is_refused(account: AwsAccount) -> None:
    clients = [account.client("iam") for _ in range(8)]

    def create(iam: Any) -> str:
        try:
            iam.create_role(RoleName="caller", AssumeRolePolicyDocument=document([TRUST]))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    with ThreadPoolExecutor(len(clients)) as pool:
        assert sorted(pool.map(create, clients)) == ["EntityAlreadyExists"] * 7 + ["created"]


def test_reset_forgets_everything_and_checks_no_more(account: AwsAccount) -> None:
    key = account.create_user("airflow")["access_key_id"]
    role = account.create_role("caller", [TRUST])
    account.set(propagation_s=60)
    account.check_calls()
    account.reset()
    assert account.client("iam").list_users()["Users"] == []
    assert account.client("iam", aws_access_key_id="any", aws_secret_access_key="key").list_roles()["Roles"] == []
    assert account.writes() == {}
    assert status_of(account.key, key)[0] == 404
    assert status_of(account.assume, role, SERVICE, FROM_DOMAIN)[0] == 404
    role = account.create_role("caller", [TRUST])
    assert account.assume(role, SERVICE, FROM_DOMAIN)


def test_a_request_that_lacks_something_is_told_what(account: AwsAccount) -> None:
    assert status_of(account.set, propagation=1) == (400, "unknown settings ['propagation']")
    answer = httpx.post(f"{account.url}/_account/assume", json={}, trust_env=False)
    assert (answer.status_code, answer.json()) == (400, {"message": "the request lacks 'role_arn'"})


def test_roles_and_secrets_made_through_boto3_can_be_read_back(account: AwsAccount) -> None:
    account.create_role("caller", [TRUST])
    role = account.client("iam").get_role(RoleName="caller")["Role"]
    assert role["AssumeRolePolicyDocument"]["Statement"] == [TRUST]
    account.client("secretsmanager").create_secret(Name="openai", SecretString="key-1")
    assert account.client("secretsmanager").get_secret_value(SecretId="openai")["SecretString"] == "key-1"
