"""A small blueprint of a chat model, and its connector as a server of one version gives it back."""

from __future__ import annotations

from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.resources import canonical

VERSION = (3, 6, 0)
DOCUMENT: dict[str, Any] = {
    "connector": {
        "name": "chat",
        "protocol": "http",
        "credential": {"key": {"conn_id": "chat"}},
        "parameters": {"model": "small"},
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": "https://api.example.com/v1/chat",
                "headers": {"Authorization": "Bearer ${credential.key}"},
                "request_body": '{"model": "${parameters.model}"}',
            }
        ],
    },
    "smoke_test": {"parameters": {}, "expect": {"path": "inference_results", "type": "array"}},
}


def blueprint(**changed: Any) -> Blueprint:
    return Blueprint.parse("chat", {**DOCUMENT, **changed}, source="chat")


def connector(name: str, created: int, *, run: str = "", mark: str = "m", **marks: str) -> dict[str, Any]:
    """As GET returns one that agrees with the blueprint."""
    body = canonical.connector_body(blueprint(), {"key": "k"}, mark)
    body["parameters"] |= ({canonical.MARK_RUN: run} if run else {}) | marks
    return {**body, "id": name, "created_time": created}
