"""A blueprint's document that has no findings, to be varied, and short ways to look at what is found."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from airflow.sdk import Connection

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Finding, InvalidBlueprint
from tests.support.parsing import parse_blueprint

URL = "https://api.openai.com/v1/embeddings"
CANARY = "sk-proj-C4n4ryThatMustNeverShowUpAnywhere0123456789"


def action(**fields: Any) -> dict[str, Any]:
    """A valid predict action, with these fields changed."""
    return {"action_type": "predict", "method": "POST", "url": URL, "request_body": "{}", **fields}


def document(connector: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """A valid document, with these fields of the connector and these other parts changed."""
    base = {
        "name": "OpenAI embedding",
        "protocol": "http",
        "credential": {"key": {"conn_id": "openai_default"}},
        "actions": [action(headers={"Authorization": "Bearer ${credential.key}"})],
    }
    return copy.deepcopy({"connector": {**base, **(connector or {})}, **parts})


def parsed(connector: dict[str, Any] | None = None, **parts: Any) -> Blueprint:
    """The blueprint of such a document."""
    return parse_blueprint("probe", document(connector, **parts), source="probe.yaml")


def refused(connector: dict[str, Any] | None = None, **parts: Any) -> InvalidBlueprint:
    """The error for such a document."""
    return refusal(document(connector, **parts))


def refusal(written: Any) -> InvalidBlueprint:
    """The error for a document."""
    with pytest.raises(InvalidBlueprint) as caught:
        parse_blueprint("probe", written, source="probe.yaml")
    return caught.value


def only(error: InvalidBlueprint) -> Finding:
    """Its one finding."""
    assert len(error.findings) == 1, error
    return error.findings[0]


def paths(error: InvalidBlueprint) -> list[str]:
    """Where its findings are."""
    return [finding.path for finding in error.findings]


def airflow_connection(
    host: str | None = "127.0.0.1",
    port: int | None = None,
    *,
    login: str | None = None,
    password: str | None = None,
    schema: str | None = None,
    **extra: Any,
) -> Connection:
    """An Airflow connection of type opensearch."""
    return Connection(
        conn_id="my_cluster",
        conn_type="opensearch",
        host=host,
        port=port,
        login=login,
        password=password,
        schema=schema,
        extra=json.dumps(extra),
    )
