"""The hook on a domain: every request signed, by a user or by an assumed role, with sessions that end in the middle."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.log import redact  # type: ignore[attr-defined]  # no other public module has it

from opensearch_ml.errors import (
    AuthenticationFailed,
    CredentialsExpired,
    InvalidConnection,
    NotFound,
    OpenSearchMLError,
    PermissionDenied,
    Unreachable,
)
from opensearch_ml.hook import TRUSTED_ENDPOINTS, OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.steps import deployment
from opensearch_ml.steps.deployment import Deployment, look_at_deployment
from opensearch_ml.triggers import OpenSearchDeployTaskTrigger
from tests.support.cluster import connections
from tests.support.domains import EVERYTHING, NAME, REGION, Domain, Key

USER_ARN = "arn:aws:iam::123456789012:user/airflow"
SESSION_ARN = "arn:aws:sts::123456789012:assumed-role/caller/airflow_aws_search"
TRUST = [{"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"}]
MODEL_ROLE = "arn:aws:iam::123456789012:role/opensearch-sagemaker-role"
CONNECTOR = {
    "name": "made over a signed request",
    "version": 1,
    "protocol": "http",
    "credential": {"key": "canary-connector-key"},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://api.openai.com/v1/embeddings",
            "headers": {"Authorization": "Bearer ${credential.key}"},
            "request_body": '{"input": "${parameters.input}"}',
        }
    ],
}


@pytest.fixture(autouse=True)
def _bare_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker without AWS credentials of its own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def user(domain: Domain) -> Key:
    """A user's key that may send anything to the domain, assume roles and describe domains."""
    others = {"Effect": "Allow", "Action": ["sts:AssumeRole", "es:Describe*", "es:List*"], "Resource": "*"}
    domain.map_role(EVERYTHING, users=[USER_ARN], backend_roles=["arn:aws:iam::123456789012:role/caller"])
    return domain.account.create_user("airflow", [domain.http_allowed(), others])


@pytest.fixture
def role(domain: Domain, user: Key) -> str:
    """A role that the user may assume, and that may send anything to the domain."""
    return domain.account.create_role("caller", TRUST, [domain.http_allowed()])


Make = Callable[..., OpenSearchMLHook]


@pytest.fixture
def make_hook(domain: Domain) -> Iterator[Make]:
    """Returns a hook whose requests are signed with a key, or by a role that is assumed with it."""
    with pytest.MonkeyPatch.context() as patch:

        def make(key: Key, *, aws: Any = None, host: str | None = "127.0.0.1", **extra: Any) -> OpenSearchMLHook:
            patch.setenv("AIRFLOW_CONN_AWS_SEARCH", aws_connection(domain, key, **(aws or {})))
            base = {"domain_arn": domain.arn, "aws_conn_id": "aws_search", "ca_certs": str(domain.gateway.ca_path)}
            found: dict[str, Any] = {"conn_type": "opensearch", "host": host, "extra": {**base, **extra}}
            if host:
                found["port"] = int(domain.gateway.url.rpartition(":")[2])
            patch.setenv("AIRFLOW_CONN_OPENSEARCH_DOMAIN", json.dumps(found))
            return OpenSearchMLHook("opensearch_domain")

        yield make


def aws_connection(domain: Domain, key: Key, **extra: Any) -> str:
    url = domain.account.url
    token = {"aws_session_token": key["session_token"]} if "session_token" in key else {}
    base = {"region_name": REGION, "endpoint_url": url, "service_config": {"sts": {"endpoint_url": url}}, **token}
    login = {"login": key["access_key_id"], "password": key["secret_access_key"]}
    return json.dumps({"conn_type": "aws", **login, "extra": {**base, **extra}})


def sent(domain: Domain, method: str, path_ends: str) -> list[int]:
    """The answers to these requests."""
    found = [r for r in domain.gateway.requests() if r.method == method and r.path.endswith(path_ends)]
    return [request.status for request in found]


# ---- who signs


def test_a_user_signs_as_itself(domain: Domain, user: Key, make_hook: Make) -> None:
    hook = make_hook(user)
    domain.gateway.forget_requests()
    assert hook.version[0] >= 2
    assert hook.test_connection()[0]
    assert (hook.signs, hook.is_managed_service, str(hook.domain_arn)) == (True, True, domain.arn)
    assert hook.aws is not None
    assert hook.aws.caller() == USER_ARN
    assert {request.principal for request in domain.gateway.requests()} == {USER_ARN}


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_an_assumed_role_signs_reads_and_writes(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
    compressed: bool,
) -> None:
    hook = make_hook(user, aws={"role_arn": role}, http_compress=compressed)
    domain.gateway.forget_requests()
    connector_id = hook.create_connector({**CONNECTOR, "parameters": {"note": "größer ~ + / %"}})
    found = hook.get_connector(connector_id)
    assert found is not None
    assert found["parameters"] == {"note": "größer ~ + / %"}
    assert connector_id in {found["id"] for found in hook.search_connectors({"match_all": {}})}
    pattern = r"^https://api\.example\.com/ü ~+/%.*$"
    hook.put_trusted_endpoints([pattern])
    assert hook.trusted_endpoints() == [pattern]
    hook.put_cluster_settings({TRUSTED_ENDPOINTS: None})
    hook.delete_connector(connector_id)
    assert hook.get_connector(connector_id) is None
    assert {request.principal for request in domain.gateway.requests()} == {SESSION_ARN}


def test_an_empty_host_is_looked_up(domain: Domain, user: Key, make_hook: Make) -> None:
    endpoint = domain.gateway.url.partition("://")[2]
    domain.account.override_domain(REGION, NAME, endpoint=endpoint)
    hook = make_hook(user, host=None)
    assert hook.base_url == domain.gateway.url
    assert hook.version
    foreign = make_hook(user, host=None, domain_arn=domain.arn.replace(NAME, "serach"))
    with pytest.raises(NotFound, match=f"the account has {NAME} there"):
        _ = foreign.version


def test_a_login_of_the_domains_own_users_needs_no_signature(domain: Domain) -> None:
    login = {"login": domain.cluster.admin_user, "password": domain.cluster.admin_password}
    address = {"host": "127.0.0.1", "port": int(domain.gateway.url.rpartition(":")[2])}
    extra = {"domain_arn": domain.arn, "ca_certs": str(domain.gateway.ca_path)}
    with connections(opensearch_domain=json.dumps({"conn_type": "opensearch", **login, **address, "extra": extra})):
        hook = OpenSearchMLHook("opensearch_domain")
        assert hook.version
        assert (hook.signs, hook.aws, hook.is_managed_service) == (False, None, True)


@pytest.mark.parametrize(
    ("permissions", "expected"), [(["cluster:monitor/main"], None), ([], (2, 19, 0))], ids=["GET /", "EngineVersion"]
)
def test_the_version_is_known_also_to_who_may_not_see_the_plugins(
    domain: Domain,
    user: Key,
    make_hook: Make,
    permissions: list[str],
    expected: Any,
) -> None:
    whole = make_hook(user).version
    domain.as_admin("PUT", "/_plugins/_security/api/roles/little", json={"cluster_permissions": permissions})
    domain.as_admin("DELETE", f"/_plugins/_security/api/rolesmapping/{EVERYTHING}")
    domain.map_role("little", users=[USER_ARN])
    assert make_hook(user).version == (expected or whole)


# ---- sessions that end


def test_a_session_that_ends_between_two_reads_is_replaced(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
) -> None:
    hook = make_hook(user, aws={"role_arn": role})
    assert hook.cluster_settings()
    domain.account.expire_sessions()
    domain.gateway.forget_requests()
    assert hook.cluster_settings()
    assert hook.cluster_settings()
    assert sent(domain, "GET", "/_cluster/settings") == [403, 200, 200]


def test_a_session_that_ends_before_a_write_loses_and_repeats_nothing(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
) -> None:
    hook = make_hook(user, aws={"role_arn": role})
    assert hook.version
    for name in ("first", "second", "third"):
        domain.account.expire_sessions()
        hook.create_connector({**CONNECTOR, "name": f"written in session {name}"})
    assert sent(domain, "POST", "/connectors/_create") == [403, 200] * 3
    names = [found["name"] for found in hook.search_connectors({"match_all": {}})]
    assert sorted(name for name in names if name.startswith("written in session")) == [
        f"written in session {name}" for name in ("first", "second", "third")
    ]


def test_an_ended_session_that_cannot_be_replaced_is_told_after_one_more_try(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
) -> None:
    hook = make_hook(domain.session(role, user))
    assert hook.version
    domain.account.expire_sessions()
    domain.gateway.forget_requests()
    with pytest.raises(CredentialsExpired) as raised:
        hook.create_connector(CONNECTOR)
    assert raised.value.cause == "the session's keys of connection aws_search have expired"
    assert sent(domain, "POST", "/connectors/_create") == [403, 403]


def test_keys_that_were_replaced_in_airflow_are_used_in_the_middle_of_a_run(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
) -> None:
    hook = make_hook(domain.session(role, user))
    assert hook.version
    domain.account.expire_sessions()
    with connections(aws_search=aws_connection(domain, domain.session(role, user))):
        assert hook.create_connector(CONNECTOR)


def test_a_deferred_task_outlives_its_sessions(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looks until the third, each of which meets a session that has just ended."""
    hook = make_hook(user, aws={"role_arn": role})
    model_id = hook.register_model(
        {"name": "embedding", "function_name": "remote", "connector_id": hook.create_connector(CONNECTOR)}
    )
    task_id = hook.deploy_model(model_id)

    def until_deployed() -> None:
        if not look_at_deployment(hook, model_id, task_id).done:
            raise Unreachable("not yet", evidence="", fix="")

    persistently(until_deployed)
    looks: list[Deployment] = []

    def look(*arguments: Any) -> Deployment:
        looks.append(look_at_deployment(*arguments))
        domain.account.expire_sessions()
        return looks[-1] if len(looks) == 3 else Deployment(done=False, state="said so by the test")

    monkeypatch.setattr(deployment, "look_at_deployment", look)
    _, arguments = OpenSearchDeployTaskTrigger("opensearch_domain", model_id, task_id, 4e9, 0.05).serialize()

    async def first_event() -> Any:
        return await anext(OpenSearchDeployTaskTrigger(**arguments).run())

    domain.gateway.forget_requests()
    event = asyncio.run(first_event())
    assert event.payload["status"] == "success", event.payload
    assert sent(domain, "GET", f"/models/{model_id}") == [200] * 3
    assert sent(domain, "GET", f"/tasks/{task_id}") == [200, 403, 200, 403, 200]


# ---- what is refused


def told(error: type[OpenSearchMLError], ask: Callable[[], Any]) -> OpenSearchMLError:
    with pytest.raises(error) as raised:
        ask()
    assert type(raised.value) is error
    return raised.value


def test_each_refusal_has_its_own_error(domain: Domain, user: Key, role: str, make_hook: Make) -> None:
    account, causes = domain.account, []

    def refused(error: type[OpenSearchMLError], hook: OpenSearchMLHook, cause: str, fix: str) -> None:
        found = told(error, lambda: hook.create_connector({**CONNECTOR, "credential": {"roleArn": MODEL_ROLE}}))
        assert cause in found.cause
        assert fix in found.fix
        causes.append(found.cause)

    # the signature
    unknown = {**user, "access_key_id": "AKIAIOSFODNN7EXAMPLE"}
    refused(AuthenticationFailed, make_hook(unknown), "does not know the access key of connection aws_search", "delet")
    wrong = {**user, "secret_access_key": "canary-wrong"}
    refused(AuthenticationFailed, make_hook(wrong), "another signature", "secret key of connection aws_search")
    domain.gateway.set_clock_offset(360)
    refused(AuthenticationFailed, make_hook(user), "clock", "NTP")
    domain.gateway.set_clock_offset(0)
    elsewhere = make_hook(user, domain_arn=None, region_name="us-west-2")
    refused(AuthenticationFailed, elsewhere, "another region", "region_name, in the extra of connection opensearch_d")
    unsigned = make_hook(user, aws_conn_id=None)
    refused(AuthenticationFailed, unsigned, "is not signed", '"aws_conn_id"')

    # the caller
    closed = account.create_role("closed", [{**TRUST[0], "Principal": {"Service": "ec2.amazonaws.com"}}])
    with account.checking_calls():
        assumed = make_hook(user, aws={"role_arn": closed})
        refused(PermissionDenied, assumed, f"connection aws_search may not assume its role {closed}", "trust policy")
    reader = account.create_user("reader", [domain.http_allowed("Get")])
    refused(PermissionDenied, make_hook(reader), "user/reader may not es:ESHttpPost on", f"on {domain.arn} to")
    denied = account.create_user("denied", [domain.http_allowed(), {**domain.http_allowed(), "Effect": "Deny"}])
    refused(PermissionDenied, make_hook(denied), "user/denied may not es:ESHttpPost", "in as many words")

    # the connector's role
    refused(
        PermissionDenied, make_hook(user), "may not pass the connector's role", f"allow iam:PassRole on {MODEL_ROLE}"
    )
    passes = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
    account.set_user_statements("airflow", [domain.http_allowed(), passes])
    refused(PermissionDenied, make_hook(user), f"may not assume the connector's role {MODEL_ROLE}", "aws:SourceArn")

    assert len(set(causes)) == len(causes) == 10


def test_who_is_not_mapped_is_refused_by_the_cluster_and_not_by_iam(
    domain: Domain,
    user: Key,
    make_hook: Make,
) -> None:
    domain.as_admin("DELETE", f"/_plugins/_security/api/rolesmapping/{EVERYTHING}")
    error = told(PermissionDenied, lambda: make_hook(user).create_connector(CONNECTOR))
    assert "ml_full_access" in error.fix
    assert USER_ARN in error.evidence


def test_an_internal_user_cannot_pass_a_role(domain: Domain) -> None:
    login = {"login": domain.cluster.admin_user, "password": domain.cluster.admin_password}
    address = {"host": "127.0.0.1", "port": int(domain.gateway.url.rpartition(":")[2])}
    extra = {"domain_arn": domain.arn, "ca_certs": str(domain.gateway.ca_path)}
    with connections(opensearch_domain=json.dumps({"conn_type": "opensearch", **login, **address, "extra": extra})):
        hook = OpenSearchMLHook("opensearch_domain")
        error = told(
            PermissionDenied, lambda: hook.create_connector({**CONNECTOR, "credential": {"roleArn": MODEL_ROLE}})
        )
    assert "an internal user of the domain cannot pass" in error.cause


def test_an_aws_connection_that_is_not_there_is_named(user: Key, make_hook: Make) -> None:
    error = told(InvalidConnection, lambda: make_hook(user, aws_conn_id="aws_serach").version)
    assert error.cause == "there is no connection aws_serach"


# ---- secrets


def test_no_key_is_in_a_log_or_in_an_error(
    domain: Domain,
    user: Key,
    role: str,
    make_hook: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = make_hook(user, aws={"role_arn": role})
    caplog.set_level(logging.DEBUG)
    secrets = [user["secret_access_key"]]
    domain.gateway.set_clock_offset(360)
    refused = told(AuthenticationFailed, hook.cluster_settings)
    domain.gateway.set_clock_offset(0)
    for _ in range(2):
        hook.create_connector(CONNECTOR)
        assert hook.aws is not None
        keys = hook.aws.get_frozen_credentials()
        secrets += [keys.secret_key, keys.token]
        domain.account.expire_sessions()
    wrong = make_hook({**domain.session(role, user), "secret_access_key": "canary-wrong-secret"})
    mismatch = told(AuthenticationFailed, wrong.cluster_settings)
    assert "The Canonical String for this request should have been" in mismatch.evidence
    text = str(redact(caplog.text))
    assert "POST" in text
    for secret in [*secrets, "canary-wrong-secret", "canary-connector-key"]:
        assert secret not in text
        assert secret not in f"{refused} {mismatch}"
    assert "x-amz-security-token:***" in mismatch.evidence
