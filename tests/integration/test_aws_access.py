"""The way to AWS, and what AWS tells of a domain: against the account's stand-in, which checks every call.

botocore's Stubber stands in for what the account cannot be made to answer.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.stub import Stubber

from local.aws_account.process import AwsAccount, start_aws_account
from opensearch_ml.aws import domain
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.domain import Domain
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.errors import (
    AuthenticationFailed,
    Conflict,
    CredentialsExpired,
    InUse,
    InvalidConnection,
    NotFound,
    OpenSearchMLError,
    PermissionDenied,
    RequestRefused,
    ServerBusy,
    TLSNotVerified,
    Unreachable,
)
from tests.support.cluster import connections

REGION = "eu-central-1"
USER_ARN = "arn:aws:iam::123456789012:user/airflow"
ANYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
TRUST = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
ARN = DomainArn.parse(f"arn:aws:es:{REGION}:123456789012:domain/search")


@pytest.fixture(scope="module")
def _account() -> Iterator[AwsAccount]:
    with start_aws_account() as account:
        yield account


@pytest.fixture
def account(_account: AwsAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AwsAccount:
    """An empty account that checks every call, and a worker whose environment has no credentials."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _account.reset()
    _account.check_calls()
    return _account


@pytest.fixture
def access(account: AwsAccount) -> Iterator[Callable[..., AwsAccess]]:
    """Returns an access by a connection like this: a user with these statements, unless it says otherwise."""
    with pytest.MonkeyPatch.context() as patch:

        def make(
            statements: Any = ANYTHING, region_name: str | None = REGION, extra: Any = None, **change: Any
        ) -> AwsAccess:
            key = account.create_user("airflow", statements)
            patch.setenv("AIRFLOW_CONN_AWS_SEARCH", aws_connection(account, key, extra or {}, **change))
            return AwsAccess("aws_search", region_name)

        yield make


def aws_connection(account: AwsAccount, key: dict[str, str], extra: dict[str, Any], **change: Any) -> str:
    base = {"endpoint_url": account.url, "service_config": {"sts": {"endpoint_url": account.url}}}
    whole = {"conn_type": "aws", "login": key["access_key_id"], "password": key["secret_access_key"], **change}
    return json.dumps({**whole, "extra": {**base, **extra}})


def refused(error: type[OpenSearchMLError], ask: Callable[[], Any]) -> OpenSearchMLError:
    with pytest.raises(error) as raised:
        ask()
    assert type(raised.value) is error
    return raised.value


# ---- the session


def test_a_user_signs_as_itself(access: Callable[..., AwsAccess]) -> None:
    assert access().caller() == USER_ARN


def test_a_connections_role_is_assumed_once_for_all_clients(
    access: Callable[..., AwsAccess], account: AwsAccount
) -> None:
    role = account.create_role("caller", TRUST, ANYTHING)
    signs = access(extra={"role_arn": role})
    before = account.writes().get("sts:AssumeRole", 0)
    assert signs.caller() == "arn:aws:sts::123456789012:assumed-role/caller/airflow_aws_search"
    assert signs.pages("iam", "list_roles", "Roles")
    assert signs.get_frozen_credentials().access_key.startswith("ASIA")
    assert account.writes().get("sts:AssumeRole", 0) <= before + 1


def test_a_session_that_ends_in_the_middle_of_a_run_is_replaced(
    access: Callable[..., AwsAccess], account: AwsAccount
) -> None:
    signs = access(extra={"role_arn": account.create_role("caller", TRUST, ANYTHING)})
    first = signs.get_frozen_credentials()
    account.expire_sessions()
    signs.call("iam", "create_user", UserName="made-once")
    second = signs.get_frozen_credentials()
    assert first.access_key != second.access_key
    account.expire_sessions()
    assert [user["UserName"] for user in signs.pages("iam", "list_users", "Users")] == ["airflow", "made-once"]


def test_keys_that_were_changed_in_airflow_are_read_when_the_old_ones_expire(
    access: Callable[..., AwsAccess], account: AwsAccount
) -> None:
    role = account.create_role("caller", TRUST, ANYTHING)
    by_role = access(extra={"role_arn": role})
    session = by_role.get_frozen_credentials()
    key = {"access_key_id": session.access_key, "secret_access_key": session.secret_key}
    pasted = aws_connection(account, key, {"aws_session_token": session.token})
    with connections(aws_pasted=pasted):
        static = AwsAccess("aws_pasted", REGION)
        assert static.caller()
        account.expire_sessions()
        error = refused(CredentialsExpired, static.caller)
        assert "a pasted aws_session_token must be renewed by hand" in error.fix
    with connections(aws_pasted=aws_connection(account, account.create_user("second", ANYTHING), {})):
        assert static.caller().endswith("user/second")


def test_the_sessions_keys_are_live(access: Callable[..., AwsAccess], account: AwsAccount) -> None:
    signs = access(extra={"role_arn": account.create_role("caller", TRUST, ANYTHING)})
    live = signs.credentials()
    first = live.get_frozen_credentials()
    live._expiry_time = live._time_fetcher()  # as if an hour had passed
    assert signs.get_frozen_credentials().access_key != first.access_key
    assert signs.credentials() is live


def test_no_key_of_a_session_is_logged_even_at_debug(
    access: Callable[..., AwsAccess], account: AwsAccount, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.sdk.log import redact  # type: ignore[attr-defined]  # no other public module has it

    signs = access(extra={"role_arn": account.create_role("caller", TRUST, ANYTHING)})
    caplog.set_level(logging.DEBUG)
    signs.caller()
    first = signs.get_frozen_credentials()
    account.expire_sessions()
    signs.pages("iam", "list_roles", "Roles")
    second = signs.get_frozen_credentials()
    told = str(redact(caplog.text))
    assert "GetCallerIdentity" in caplog.text
    for secret in (first.secret_key, second.secret_key, first.token, second.token):
        assert secret not in told


def test_without_aws_default_the_workers_own_credentials_are_used(
    account: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = account.create_user("worker", ANYTHING)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["secret_access_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)
    assert AwsAccess("aws_default", REGION).caller().endswith("user/worker")


# ---- what is wrong with a connection


def test_a_mistyped_connection_does_not_fall_back_to_the_workers_credentials(account: AwsAccount) -> None:
    error = refused(InvalidConnection, AwsAccess("aws_serach", REGION).caller)
    assert error.cause == "there is no connection aws_serach"


@pytest.mark.parametrize(
    ("change", "extra", "cause", "fix"),
    [
        ({"login": None, "password": None}, {}, "has no credentials", "give connection aws_search an access key"),
        ({"login": None, "password": None}, {"profile_name": "x"}, "names a profile", "correct profile_name"),
        ({}, {"assume_role_method": "magic", "role_arn": "arn:x"}, "cannot be turned into", "correct the extra"),
        ({}, {"endpoint_url": "nonsense"}, "cannot be turned into", "correct the extra"),
    ],
)
def test_what_is_no_connection_to_aws_is_told(
    access: Callable[..., AwsAccess], change: Any, extra: Any, cause: str, fix: str
) -> None:
    signs = access(extra=extra, **change)
    error = refused(InvalidConnection, lambda: signs.call("iam", "get_user"))
    assert cause in error.cause
    assert fix in error.fix


def test_a_connection_without_a_region_is_told(access: Callable[..., AwsAccess]) -> None:
    signs = access(region_name=None)
    error = refused(InvalidConnection, lambda: signs.call("opensearch", "list_domain_names"))
    assert '"region_name"' in error.fix
    assert signs.region_name is None
    assert AwsAccess("aws_search", "eu-west-1").region_name == "eu-west-1"


# ---- what AWS refuses


def test_a_missing_permission_names_who_what_and_on_what(access: Callable[..., AwsAccess]) -> None:
    signs = access([{"Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"}])
    error = refused(PermissionDenied, lambda: signs.call("iam", "delete_role", RoleName="x"))
    assert error.cause.startswith(f"{USER_ARN} may not iam:DeleteRole on")
    assert error.fix.startswith("allow iam:DeleteRole on")
    assert "DeleteRole -> AccessDenied: User: " in error.evidence


def test_a_denial_is_not_told_like_a_missing_permission(
    access: Callable[..., AwsAccess],
) -> None:
    signs = access([*ANYTHING, {"Effect": "Deny", "Action": "iam:GetRole", "Resource": "*"}])
    error = refused(PermissionDenied, lambda: signs.call("iam", "get_role", RoleName="x"))
    assert "a policy denies iam:GetRole" in error.fix


def test_a_role_that_may_not_be_assumed_is_told_as_the_connections(
    access: Callable[..., AwsAccess], account: AwsAccount
) -> None:
    role = account.create_role("closed", [{**TRUST[0], "Principal": {"Service": "ec2.amazonaws.com"}}])
    error = refused(PermissionDenied, access(extra={"role_arn": role}).caller)
    assert error.cause == f"connection aws_search may not assume its role {role}"
    assert "trust policy" in error.fix


def test_an_unknown_key_is_told(access: Callable[..., AwsAccess]) -> None:
    unknown = access(login="AKIAIOSFODNN7EXAMPLE")
    error = refused(AuthenticationFailed, lambda: unknown.call("iam", "get_user"))
    assert error.cause == "AWS does not know the access key of connection aws_search"


def test_a_wrong_secret_is_a_wrong_signature_and_is_not_told(access: Callable[..., AwsAccess]) -> None:
    signs = access(password="canary-Wq8-not-the-secret")
    error = refused(AuthenticationFailed, lambda: signs.call("iam", "list_users"))
    assert error.cause == "AWS computes another signature"
    assert "secret key of connection aws_search" in error.fix
    assert "canary" not in str(error)


def test_an_aws_that_does_not_answer_is_unreachable(access: Callable[..., AwsAccess]) -> None:
    signs = access(extra={"endpoint_url": "http://127.0.0.1:9"})
    error = refused(Unreachable, lambda: signs.call("iam", "list_users"))
    assert "region_name of connection aws_search" in error.fix


@pytest.mark.parametrize(
    ("code", "message", "status", "error", "cause"),
    [
        ("Throttling", "Rate exceeded", 400, ServerBusy, "come back later"),
        ("TooManyRequestsException", "", 429, ServerBusy, "come back later"),
        ("ServiceFailure", "", 500, ServerBusy, "come back later"),
        ("SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2", 403, AuthenticationFailed, "clock"),
        ("InvalidSignatureException", "Signature not yet current: 2", 400, AuthenticationFailed, "clock"),
        ("RequestExpired", "Request has expired.", 400, AuthenticationFailed, "clock"),
        ("SignatureDoesNotMatch", "The request signature we calculated …", 403, AuthenticationFailed, "another sig"),
        ("ExpiredToken", "The security token included in the request is expired", 403, CredentialsExpired, "expired"),
        ("UnrecognizedClientException", "invalid", 400, AuthenticationFailed, "does not know"),
        ("NoSuchEntity", "no role x", 404, NotFound, "nothing of that name"),
        ("EntityAlreadyExists", "", 409, Conflict, "another writer"),
        ("DeleteConflict", "", 409, InUse, "still uses"),
        ("LimitExceeded", "", 409, RequestRefused, "quota"),
        ("RegionDisabledException", "", 403, InvalidConnection, "STS is switched off"),
        ("OptInRequired", "", 403, PermissionDenied, "no access to the service"),
        ("AccessDenied", "", 403, PermissionDenied, "may not GetRole"),
        ("Whatever", "", 403, AuthenticationFailed, "does not accept"),
        ("MalformedPolicyDocument", "Syntax", 400, RequestRefused, "refuses"),
    ],
)
def test_each_code_has_its_own_meaning(
    code: str, message: str, status: int, error: type[OpenSearchMLError], cause: str
) -> None:
    iam = boto3.client("iam", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(iam) as stub:
        stub.add_client_error("get_role", code, message, status)
        with pytest.raises(error) as raised, AwsAccess("aws_search").asking():
            iam.get_role(RoleName="x")
    assert type(raised.value) is error
    assert cause in raised.value.cause
    assert raised.value.evidence == f"GetRole -> {code}: {message}"


@pytest.mark.parametrize(
    ("raised", "error", "cause"),
    [
        (botocore.exceptions.SSLError(endpoint_url="x", error="y"), TLSNotVerified, "not trusted"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), Unreachable, "AWS cannot be reached"),
        (botocore.exceptions.CredentialRetrievalError(provider="x", error_msg="y"), Unreachable, "cannot be fetched"),
        (botocore.exceptions.PartialCredentialsError(provider="x", cred_var="y"), InvalidConnection, "half"),
        (botocore.exceptions.NoRegionError(), InvalidConnection, "no region"),
        (botocore.exceptions.UnauthorizedSSOTokenError(), AuthenticationFailed, "single sign-on"),
        (botocore.exceptions.ParamValidationError(report="x"), RequestRefused, "none that AWS knows"),
        (botocore.exceptions.InvalidConfigError(error_msg="x"), InvalidConnection, "cannot be used"),
    ],
)
def test_what_botocore_raises_by_itself_has_its_own_meaning(
    raised: Exception, error: type[OpenSearchMLError], cause: str
) -> None:
    with pytest.raises(error) as told, AwsAccess("aws_search").asking():
        raise raised
    assert cause in told.value.cause


# ---- the domain


def test_a_public_domain_is_described(access: Callable[..., AwsAccess], account: AwsAccount) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "es:*"}]}
    account.create_domain("search", REGION, access_policies=policy, endpoint="127.0.0.1:1234", fine_grained=True)
    signs = access()
    found = domain.describe(signs, ARN)
    assert (found.arn, found.endpoint, found.vpc, found.fine_grained) == (ARN, "127.0.0.1:1234", False, True)
    assert found.access_policy == policy
    assert found.engine
    assert "fine-grained access control) is" in str(found)
    assert domain.endpoint(signs, ARN) == "127.0.0.1:1234"


def test_a_domain_in_a_vpc_is_described(access: Callable[..., AwsAccess], account: AwsAccount) -> None:
    account.create_domain("search", REGION, vpc_endpoint="vpc-search.invalid:443")
    found = domain.describe(access(), ARN)
    assert found.vpc
    assert found.endpoint == "vpc-search.invalid:443"
    error = refused(Unreachable, lambda: domain.check_reachable(found))
    assert f"domain search is in {found.network}, which cannot be reached" in error.cause
    assert "vpc-search.invalid:443 -> the name does not resolve" in error.evidence
    assert f"inside {found.network}" in error.fix
    assert "security group" in error.fix


def test_a_domain_that_is_not_there_is_told_with_those_that_are(
    access: Callable[..., AwsAccess], account: AwsAccount
) -> None:
    account.create_domain("other", REGION)
    account.create_domain("elsewhere", "us-east-1")
    error = refused(NotFound, lambda: domain.describe(access(), ARN))
    assert error.cause == f"there is no domain search in {REGION}"
    assert "the account has other there" in error.fix
    assert "DescribeDomain -> ResourceNotFoundException" in error.evidence


def test_a_domain_of_another_account_is_told(access: Callable[..., AwsAccess], account: AwsAccount) -> None:
    account.create_domain("search", REGION)
    foreign = DomainArn("aws", REGION, "210987654321", "search")
    error = refused(NotFound, lambda: domain.describe(access(), foreign))
    assert "is in another account" in error.cause


def test_who_may_not_describe_the_domain_is_told_so_and_may_name_the_host(
    access: Callable[..., AwsAccess], account: AwsAccount
) -> None:
    account.create_domain("search", REGION)
    signs = access([])
    found = domain.describe(signs, ARN)
    assert (found.endpoint, found.fine_grained) == (None, None)
    assert "could not be looked at, the caller may not describe it (DescribeDomain -> AccessDenied" in str(found)
    assert domain.findings(found, "any.example.com") == []
    domain.check_reachable(found)
    error = refused(PermissionDenied, lambda: domain.endpoint(signs, ARN))
    assert f"allow es:DescribeDomain on {ARN}" in error.fix
    assert "field Host" in error.fix


@pytest.mark.parametrize(
    ("change", "host", "problem"),
    [
        ({"status": "being deleted"}, None, "is being deleted"),
        ({"status": "being created"}, None, "is being created"),
        ({"engine": "Elasticsearch_7.10"}, None, "runs Elasticsearch_7.10"),
        ({"fine_grained": False}, None, "without fine-grained access control"),
        ({}, "other.example.com", "is other.example.com, and the domain's endpoint is search.example.com"),
        ({}, "https://search.example.com:443/", None),
        ({}, "custom.example.com", None),
        ({"status": "processing a change"}, None, None),
    ],
)
def test_what_is_wrong_with_a_domain_is_found(change: Any, host: str | None, problem: str | None) -> None:
    base = {"endpoint": "search.example.com", "other_endpoints": ("custom.example.com",), "fine_grained": True}
    found = domain.findings(Domain(ARN, **{**base, "engine": "OpenSearch_2.19", **change}), host)
    assert [problem in finding.problem for finding in found if problem] == ([True] if problem else [])
    assert bool(found) is bool(problem)


def test_a_domain_that_listens_is_reachable_and_one_that_does_not_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        domain.check_reachable(Domain(ARN, endpoint=f"127.0.0.1:{port}"))
    error = refused(Unreachable, lambda: domain.check_reachable(Domain(ARN, endpoint=f"127.0.0.1:{port}")))
    assert error.cause == "domain search cannot be reached"
    assert f"127.0.0.1:{port} -> no connection" in error.evidence


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hangs.wait(10))
    try:
        found = Domain(ARN, endpoint="vpc-x.example.com", vpc=True, vpc_id="vpc-1")
        error = refused(Unreachable, lambda: domain.check_reachable(found, timeout_s=0.1))
    finally:
        hangs.set()
    assert "not resolved within 0.1 s" in error.evidence
    assert "inside VPC vpc-1" in error.fix


def test_a_proxys_way_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    domain.check_reachable(Domain(ARN, endpoint="vpc-x.invalid", vpc=True, vpc_id="vpc-1"))
