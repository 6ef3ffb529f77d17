"""A documented connector body to be varied, and short ways to look at what is imported of it."""

from __future__ import annotations

import copy
import json
from typing import Any

from opensearch_ml.blueprint import loader
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import stand_ins
from opensearch_ml.importing.from_docs import Imported, import_text
from opensearch_ml.resources import canonical
from tests.support.parsing import parse_blueprint

PATH = "/_plugins/_ml/connectors/_create"
CREATE = f"POST {PATH}"
SCRIPT = '\n    def json = "{\\"a\\":\\"" + params.text_docs[0] + "\\"}";\n    return json;\n    '
BODY: dict[str, Any] = {
    "name": "Example embedding",
    "description": "It's the connector to an example",
    "version": 1,
    "protocol": "http",
    "parameters": {"model": "small", "temperature": 0.5, "max_tokens": 7, "nested": {"on": True, "list": [1, "a"]}},
    "credential": {"api_key": "<YOUR API KEY>"},
    "client_config": {"read_timeout": 30, "max_connection": 10},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://api.example.com/v1/embeddings",
            "headers": {"Authorization": "Bearer ${credential.api_key}"},
            "request_body": '{ "input": ${parameters.input}, "model": "${parameters.model}" }',
            "pre_process_function": SCRIPT,
            "post_process_function": "connector.post_process.openai.embedding",
        }
    ],
}
DUMPED = json.dumps(BODY, indent=2)
REFERENCE = {"conn_id": "example_default", "field": "password"}


def parsed(imported: Imported) -> Blueprint:
    """The blueprint that the text is, variables without a default stood in for."""
    document = loader.parse(imported.yaml_text).content
    return parse_blueprint(imported.name, stand_ins.filled(document), source="imported")


def created(blueprint: Blueprint) -> dict[str, Any]:
    """What is created on a server, but for credential and marks."""
    return canonical_body(canonical.connector_body(blueprint, {}))


def canonical_body(body: dict[str, Any]) -> dict[str, Any]:
    told = copy.deepcopy({key: value for key, value in body.items() if key != "credential"})
    told["version"] = str(told["version"])
    told["parameters"] = {
        key: canonical.as_stored(value)
        for key, value in told.get("parameters", {}).items()
        if not key.startswith("opensearch_ml_")
    }
    for action in told.get("actions", ()):
        action["headers"] = {key: canonical.as_stored(value) for key, value in action.get("headers", {}).items()}
    return told


def only(text: str, **given: Any) -> Imported:
    """The one blueprint of a text."""
    (imported,) = import_text(text, **given)
    return imported


def changed(**fields: Any) -> dict[str, Any]:
    """The body with fields changed; those that are None are left out."""
    return {key: value for key, value in {**copy.deepcopy(BODY), **fields}.items() if value is not None}


def with_action(**fields: Any) -> dict[str, Any]:
    """The body with fields of its action changed."""
    return changed(actions=[{**BODY["actions"][0], **fields}])


def document(body: Any) -> dict[str, Any]:
    """The blueprint's document of a body."""
    content: dict[str, Any] = loader.parse(only(json.dumps(body)).yaml_text).content
    return content
