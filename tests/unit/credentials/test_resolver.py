"""Credentials: every kind of reference is resolved, everything that lacks is told at once, and no secret is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import BaseHook, Connection
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.credentials import resolver
from opensearch_ml.errors import UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.sources.connection import ConnectionSource
from tests.support.cluster import connections
from tests.support.parsing import parse_blueprint
from tests.support.repository import REPOSITORY

CONNECTION = {
    "conn_type": "generic",
    "host": "host-canary-1b7",
    "login": "login-canary-2c8",
    "password": "password-canary-3d9",
    "extra": {"token": "extra-canary-4e0", "account": 123456789012, "nested": {"a": "deep-canary-5f1"}, "empty": ""},
}


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW_VAR_MY_KEY", "variable-canary-6a2")
    monkeypatch.setenv("AIRFLOW_VAR_EMPTY", "")
    with connections(my_platform=json.dumps(CONNECTION), bare=json.dumps({"conn_type": "generic"})):
        yield


def blueprint(**credential: Any) -> Blueprint:
    """A blueprint whose connector has this credential, and uses all of it."""
    action = {
        "action_type": "predict",
        "method": "POST",
        "url": "https://api.example.com/v1",
        "headers": {f"x-{key.replace('_', '-')}": f"${{credential.{key}}}" for key in credential},
        "request_body": '{"input": ${parameters.input}}',
    }
    connector = {"name": "c", "version": 1, "protocol": "http", "credential": credential, "actions": [action]}
    return parse_blueprint("mine", {"connector": connector}, source="mine.yaml")


def resolve(**credential: Any) -> dict[str, str]:
    return resolver.resolve(blueprint(**credential), OpenSearchMLHook())


@pytest.mark.parametrize(
    ("reference", "secret"),
    [
        ({"conn_id": "my_platform"}, "password-canary-3d9"),
        ({"conn_id": "my_platform", "field": "password"}, "password-canary-3d9"),
        ({"conn_id": "my_platform", "field": "login"}, "login-canary-2c8"),
        ({"conn_id": "my_platform", "field": "host"}, "host-canary-1b7"),
        ({"conn_id": "my_platform", "field": "extra.token"}, "extra-canary-4e0"),
        ({"conn_id": "my_platform", "field": "extra.account"}, "123456789012"),
        ({"conn_id": "my_platform", "field": "extra.nested"}, '{"a":"deep-canary-5f1"}'),
        ({"variable": "my_key"}, "variable-canary-6a2"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else None,
)
def test_a_reference_becomes_the_secret_and_is_masked(reference: dict[str, str], secret: str) -> None:
    hook = OpenSearchMLHook()
    assert resolver.resolve(blueprint(key=reference), hook) == {"key": secret}
    assert redact(f"the key is {secret}!") == "the key is ***!"
    assert hook.redact(f"the key is {secret}!") == "the key is ***!"


def test_everything_that_lacks_is_told_at_once_and_why() -> None:
    with pytest.raises(UnresolvedCredential) as raised:
        resolve(
            there={"conn_id": "my_platform"},
            no_connection={"conn_id": "nobody"},
            no_variable={"variable": "nothing"},
            no_password={"conn_id": "bare"},
            no_extra={"conn_id": "my_platform", "field": "extra.tokn"},
            empty_extra={"conn_id": "my_platform", "field": "extra.empty"},
            empty_variable={"variable": "empty"},
        )
    assert raised.value.evidence.split("; ") == [
        "no_connection is password of connection nobody, which is not there",
        "no_variable is variable nothing, which is not there",
        "no_password is password of connection bare, which has no value",
        "no_extra is extra.tokn of connection my_platform, which has no value",
        "empty_extra is extra.empty of connection my_platform, which has no value",
        "empty_variable is variable empty, which has no value",
    ]
    assert "create the Airflow connection or variable" in raised.value.fix
    assert "canary" not in str(raised.value)


def test_a_backend_that_refuses_is_not_taken_for_a_secret_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(conn_id: str) -> None:
        raise AirflowSecretsBackendAccessDenied(conn_id)

    monkeypatch.setattr("opensearch_ml.credentials.resolver.BaseHook.get_connection", refuse)
    with pytest.raises(UnresolvedCredential, match="which a secrets backend refuses to give"):
        resolve(key={"conn_id": "my_platform"})


def test_shared_looks_ask_for_a_connection_once_also_if_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    get = BaseHook.get_connection

    def counted(conn_id: str) -> Connection:
        asked.append(conn_id)
        return get(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", counted)
    hook = OpenSearchMLHook()
    looks = resolver.Looks(hook)
    for field in ("password", "login", "password"):
        of = blueprint(key={"conn_id": "my_platform", "field": field})
        assert not ConnectionSource(of, hook, looks=looks).serves(None)
        assert resolver.resolve(of, hook, looks=looks)
    for name in ("nobody", "nobody"):
        with pytest.raises(UnresolvedCredential, match="which is not there"):
            resolver.resolve(blueprint(key={"conn_id": name}), hook, looks=looks)
    assert asked == ["my_platform", "nobody"]


def test_a_role_is_no_secret_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseHook, "get_connection", pytest.fail)
    name = "sagemaker_embedding"
    domain = DomainArn.parse("arn:aws:es:eu-west-1:123456789012:domain/search")
    by_role = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "none").blueprint(name, domain_arn=domain)
    resolved = resolver.resolve(by_role, OpenSearchMLHook())
    assert resolved == by_role.connector.credential
    assert "roleArn" in resolved


@pytest.mark.parametrize(
    "secret",
    [
        'quo"te-canary',
        "back\\slash-canary",
        "new\nline-canary",
        "tab\tcanary",
        "schlüssel-canary-ß",
        "鍵-canary-鍵",
        "a'b-canary",
        'schlüs"sel-canary',
    ],
    ids=["quote", "backslash", "newline", "tab", "umlaut", "kanji", "apostrophe", "umlaut and quote"],
)
def test_a_secret_is_masked_also_where_it_stands_in_json(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ODD", secret)
    hook = OpenSearchMLHook()
    assert resolver.resolve(blueprint(key={"variable": "odd"}), hook) == {"key": secret}
    told = {"error": {"message": f"Incorrect API key provided: {secret}."}}
    lines = [
        f"Incorrect API key provided: {secret}.",
        json.dumps(told),  # ASCII alone, as most platforms answer
        json.dumps(told, ensure_ascii=False),  # as OpenSearch itself writes, and some platforms
    ]
    for line in lines:
        assert "Incorrect API key provided: ***." in redact(line)
        assert "Incorrect API key provided: ***." in hook.redact(line)
        assert "canary" not in f"{redact(line)}{hook.redact(line)}"


def test_a_literal_part_is_passed_as_it_is_and_stays_readable() -> None:
    role = "arn:aws:iam::111122223333:role/bedrock-caller"
    connector = {
        "name": "c",
        "version": 1,
        "protocol": "aws_sigv4",
        "parameters": {"region": "eu-central-1", "service_name": "bedrock"},
        "credential": {"roleArn": role},
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/invoke",
                "request_body": '{"inputText": "${parameters.inputText}"}',
            }
        ],
    }
    parsed = parse_blueprint("mine", {"connector": connector}, source="mine.yaml")
    assert resolver.resolve(parsed, OpenSearchMLHook()) == {"roleArn": role}
    assert redact(f"role {role}") == f"role {role}"
