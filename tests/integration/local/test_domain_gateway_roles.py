"""Connectors with ``roleArn`` through the gateway: from the caller's request to what reaches the model endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from tests.support.domains import NAME, REGION, Domain, Key

ML = "/_plugins/_ml"
ACCOUNT = "123456789012"
OTHER_ACCOUNT = "210987654321"
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/airflow"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/models/sagemaker"
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/sagemaker/{NAME}"
EXTERNAL_ARN = f"arn:aws:iam::{OTHER_ACCOUNT}:role/external"
INVOKE = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": "*"}
OPENAI_KEY = "sk-only-in-a-secret"
SETTINGS = {
    "plugins.ml_commons.trusted_connector_endpoints_regex": [r"^http://127\.0\.0\.1:\d+/.*$"],
    "plugins.ml_commons.connector.private_ip_enabled": True,
    "plugins.ml_commons.only_run_on_ml_node": False,
}


@pytest.fixture(scope="module")
def _endpoints(_domain: Domain) -> Iterator[ModelEndpoints]:
    with start_model_endpoints(keys={"openai": [OPENAI_KEY]}, account_url=_domain.account.url) as endpoints:
        yield endpoints


@pytest.fixture
def endpoints(_endpoints: ModelEndpoints, domain: Domain, user: Key) -> ModelEndpoints:
    """The model endpoints, trusted by the domain; the user may do all, and has ``ml_full_access``."""
    domain.as_admin("PUT", "/_cluster/settings", json={"persistent": SETTINGS}).raise_for_status()
    domain.map_role("ml_full_access", users=[USER_ARN])
    domain.account.create_sagemaker_endpoint("embedder", REGION)
    domain.account.set_user_statements("airflow", [domain.http_allowed(), pass_role(ROLE_ARN)])
    _endpoints.forget_requests()
    return _endpoints


def pass_role(role_arn: str, **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role_arn, **condition}


def trust(domain: Domain, **changed: Any) -> list[dict[str, Any]]:
    """The trust policy of AWS's documentation for this domain, with changes."""
    conditions = {
        "StringEquals": {"aws:SourceAccount": changed.get("account", ACCOUNT)},
        "ArnLike": {"aws:SourceArn": changed.get("arn", domain.arn)},
    }
    principal = {"Service": changed.get("service", "opensearchservice.amazonaws.com")}
    return [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, "Condition": conditions}]


def create_role(domain: Domain, statements: list[dict[str, Any]], **changed: Any) -> None:
    domain.account.create_role("sagemaker", trust(domain, **changed), statements, Path="/models/")


def connector(endpoints: ModelEndpoints, **credential: str) -> dict[str, Any]:
    action = {
        "action_type": "predict",
        "method": "POST",
        "url": f"{endpoints.url}/endpoints/embedder/invocations",
        "headers": {"content-type": "application/json"},
        "request_body": '{"inputs": ${parameters.inputs}}',
    }
    parameters = {"region": REGION, "service_name": "sagemaker"}
    return {
        "name": "SageMaker",
        "version": 1,
        "protocol": "aws_sigv4",
        "parameters": parameters,
        "credential": credential or {"roleArn": ROLE_ARN},
        "actions": [action],
    }


def openai_connector(endpoints: ModelEndpoints, secret_arn: str) -> dict[str, Any]:
    action = {
        "action_type": "predict",
        "method": "POST",
        "url": f"{endpoints.url}/v1/embeddings",
        "headers": {"Authorization": "Bearer ${credential.secretArn.openai_key}"},
        "request_body": '{"model": "text-embedding-3-small", "input": ${parameters.inputs}}',
    }
    credential = {"roleArn": ROLE_ARN, "secretArn": secret_arn}
    return {"name": "OpenAI", "version": 1, "protocol": "http", "credential": credential, "actions": [action]}


def create(domain: Domain, key: Key | None, body: dict[str, Any], **options: Any) -> requests.Response:
    return domain.request("POST", f"{ML}/connectors/_create", key, json=body, **options)


def register(domain: Domain, user: Key, **model: Any) -> str:
    """Register a model, deployed."""
    body = {"name": "embedder", "function_name": "remote", **model}
    registered = domain.request("POST", f"{ML}/models/_register?deploy=true", user, json=body)
    assert registered.ok, registered.text
    model_id = str(registered.json()["model_id"])
    path = f"{ML}/models/{model_id}"
    wait_until(lambda: domain.request("GET", path, user).json()["model_state"] == "DEPLOYED")
    return model_id


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def predict(domain: Domain, user: Key, model_id: str) -> requests.Response:
    """Have a model embed a text."""
    body = {"parameters": {"inputs": ["a text"]}}
    return domain.request("POST", f"{ML}/models/{model_id}/_predict", user, json=body)


def reason(answer: requests.Response) -> str:
    """ML Commons' refusal."""
    body = answer.json()
    assert (answer.status_code, body["status"], body["error"]["type"]) == (400, 400, "status_exception")
    assert body["error"]["root_cause"] == [{"type": "status_exception", "reason": body["error"]["reason"]}]
    return str(body["error"]["reason"])


def cannot_assume(principal: str, role_arn: str) -> str:
    return f"User: {principal} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"


# The whole way


def test_a_predict_is_signed_with_the_roles_session(domain: Domain, user: Key, endpoints: ModelEndpoints) -> None:
    create_role(domain, [INVOKE])
    created = create(domain, user, connector(endpoints))
    assert created.ok, created.text
    answer = predict(domain, user, register(domain, user, connector_id=created.json()["connector_id"]))
    assert answer.ok, answer.text
    assert len(answer.json()["inference_results"][0]["output"][0]["dataAsMap"]["response"][0]) == 384
    [received] = endpoints.requests()
    assert (received.family, received.status, received.principal) == ("sagemaker", 200, SESSION_ARN)


def test_the_roles_permissions_count_at_the_model_endpoint(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    create_role(domain, [])
    created = create(domain, user, connector(endpoints)).json()
    refused = predict(domain, user, register(domain, user, connector_id=created["connector_id"]))
    assert refused.status_code == 403
    assert f"User: {SESSION_ARN} is not authorized to perform: sagemaker:InvokeEndpoint" in refused.text


def test_an_inline_connector_is_given_keys_too_when_registered_and_when_changed(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    create_role(domain, [INVOKE])
    model_id = register(domain, user, connector=connector(endpoints))
    assert predict(domain, user, model_id).ok
    change = {"connector": {"credential": {"roleArn": ROLE_ARN}}}
    changed = domain.request("PUT", f"{ML}/models/{model_id}", user, json=change)
    assert changed.ok, changed.text

    def has_other_keys() -> bool:  # the server answers a moment before the model has them
        assert predict(domain, user, model_id).ok
        return len({received.credential_fingerprint for received in endpoints.requests()}) > 1

    wait_until(has_other_keys)
    assert {received.principal for received in endpoints.requests()} == {SESSION_ARN}


def test_a_changed_connector_is_given_keys_and_none_are_ever_shown(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    create_role(domain, [INVOKE])
    static = connector(endpoints, access_key="AKIASTATIC", secret_key="static")
    connector_id = create(domain, user, static).json()["connector_id"]
    path = f"{ML}/connectors/{connector_id}"
    assert domain.request("PUT", path, user, json={"credential": {"roleArn": ROLE_ARN}}).ok
    assert "credential" not in domain.request("GET", path, user).json()
    assert predict(domain, user, register(domain, user, connector_id=connector_id)).ok
    assert endpoints.requests()[-1].principal == SESSION_ARN


def test_static_keys_pass_as_they_are(domain: Domain, user: Key, endpoints: ModelEndpoints) -> None:
    domain.account.set_user_statements("airflow", [domain.http_allowed(), INVOKE])
    keys = {"access_key": user["access_key_id"], "secret_key": user["secret_access_key"]}
    created = create(domain, user, connector(endpoints, **keys)).json()
    assert predict(domain, user, register(domain, user, connector_id=created["connector_id"])).ok
    assert endpoints.requests()[-1].principal == USER_ARN


# Passing the role


def test_who_may_not_pass_the_role_is_refused(domain: Domain, user: Key, endpoints: ModelEndpoints) -> None:
    create_role(domain, [INVOKE])
    domain.account.set_user_statements("airflow", [domain.http_allowed()])
    refused = create(domain, user, connector(endpoints))
    sentence = f"User: {USER_ARN} is not authorized to perform: iam:PassRole on resource: {ROLE_ARN} because no "
    expected = {"Message": f"{sentence}identity-based policy allows the iam:PassRole action"}
    assert (refused.status_code, refused.json()) == (403, expected)


@pytest.mark.parametrize(
    ("service", "status"), [("opensearchservice.amazonaws.com", 200), ("sagemaker.amazonaws.com", 403)]
)
def test_the_service_that_the_role_is_passed_to_counts(
    domain: Domain, user: Key, endpoints: ModelEndpoints, service: str, status: int
) -> None:
    create_role(domain, [INVOKE])
    condition = {"Condition": {"StringEquals": {"iam:PassedToService": service}}}
    domain.account.set_user_statements("airflow", [domain.http_allowed(), pass_role(ROLE_ARN, **condition)])
    assert create(domain, user, connector(endpoints)).status_code == status


def test_an_internal_user_has_no_role_to_pass(domain: Domain, endpoints: ModelEndpoints) -> None:
    create_role(domain, [INVOKE])
    refused = domain.as_admin("POST", f"{ML}/connectors/_create", json=connector(endpoints))
    sentence = f"User: anonymous is not authorized to perform: iam:PassRole on resource: {ROLE_ARN} because no "
    expected = {"Message": f"{sentence}resource-based policy allows the iam:PassRole action"}
    assert (refused.status_code, refused.json()) == (403, expected)


def test_a_role_of_another_account_cannot_be_passed(domain: Domain, user: Key, endpoints: ModelEndpoints) -> None:
    domain.account.set_user_statements("airflow", [domain.http_allowed(), pass_role("*")])
    refused = create(domain, user, connector(endpoints, roleArn=EXTERNAL_ARN))
    assert (refused.status_code, refused.json()) == (403, {"Message": "Cross-account pass role is not allowed."})


# Assuming the role


@pytest.mark.parametrize(
    "changed",
    [
        {"service": "sagemaker.amazonaws.com"},
        {"account": OTHER_ACCOUNT},
        {"arn": f"arn:aws:es:{REGION}:{ACCOUNT}:domain/other"},
    ],
    ids=str,
)
def test_a_role_that_does_not_trust_this_domain_is_refused(
    domain: Domain, user: Key, endpoints: ModelEndpoints, changed: dict[str, str]
) -> None:
    create_role(domain, [INVOKE], **changed)
    refused = create(domain, user, connector(endpoints))
    assert reason(refused) == cannot_assume("opensearchservice.amazonaws.com", ROLE_ARN)
    assert endpoints.requests() == []


def test_a_role_that_does_not_exist_is_refused_in_the_same_words(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    refused = create(domain, user, connector(endpoints))
    assert reason(refused) == cannot_assume("opensearchservice.amazonaws.com", ROLE_ARN)


def test_a_role_that_trusts_the_services_old_name_is_assumed(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    create_role(domain, [INVOKE], service="es.amazonaws.com")
    assert create(domain, user, connector(endpoints)).ok


def test_a_role_of_another_account_is_assumed_from_the_first(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    body = connector(endpoints, roleArn=ROLE_ARN, externalAccountRoleArn=EXTERNAL_ARN)
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": EXTERNAL_ARN}
    create_role(domain, [])
    let_in = [{"Effect": "Allow", "Principal": {"AWS": ROLE_ARN}, "Action": "sts:AssumeRole"}]
    domain.account.create_role("external", let_in, [INVOKE], account_id=OTHER_ACCOUNT)
    assert reason(create(domain, user, body)) == cannot_assume(SESSION_ARN, EXTERNAL_ARN)
    domain.account.delete_role("sagemaker")
    create_role(domain, [assume])
    created = create(domain, user, body)
    assert created.ok, created.text
    assert predict(domain, user, register(domain, user, connector_id=created.json()["connector_id"])).ok
    assert endpoints.requests()[-1].principal == f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/external/{NAME}"


# Secrets


def test_a_secrets_entries_fill_the_headers(domain: Domain, user: Key, endpoints: ModelEndpoints) -> None:
    secret = domain.account.client("secretsmanager", REGION).create_secret(
        Name="openai", SecretString=f'{{"openai_key": "{OPENAI_KEY}"}}'
    )["ARN"]
    create_role(domain, [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret}])
    created = create(domain, user, openai_connector(endpoints, secret))
    assert created.ok, created.text
    answer = predict(domain, user, register(domain, user, connector_id=created.json()["connector_id"]))
    assert answer.ok, answer.text
    assert OPENAI_KEY not in domain.request("GET", f"{ML}/connectors/{created.json()['connector_id']}", user).text


def test_a_secret_that_the_role_may_not_read_or_that_is_not_there_is_named(
    domain: Domain, user: Key, endpoints: ModelEndpoints
) -> None:
    create_role(domain, [])
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:openai-AbCdEf"
    action = "secretsmanager:GetSecretValue"
    assert reason(create(domain, user, openai_connector(endpoints, secret))) == (
        f"User: {SESSION_ARN} is not authorized to perform: {action} on resource: {secret} "
        f"because no identity-based policy allows the {action} action"
    )
    domain.account.delete_role("sagemaker")
    create_role(domain, [{"Effect": "Allow", "Action": action, "Resource": "*"}])
    expected = "Secrets Manager can't find the specified secret."
    assert reason(create(domain, user, openai_connector(endpoints, secret))) == expected
