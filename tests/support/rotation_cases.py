"""What the tests of a rotation share: a blueprint, its connectors, and a cluster that says what it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.errors import InUse
from opensearch_ml.resources import canonical
from tests.support.parsing import parse_blueprint

VERSION = (3, 6, 0)
OLD = {"one": "a", "two": "b"}  # what each node of `Hook` serves, until it is told otherwise
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
    return parse_blueprint("chat", {**DOCUMENT, **changed}, source="chat")


def connector(name: str, created: int, *, run: str = "", mark: str = "m", **marks: str) -> ConnectorDoc:
    """As GET returns one that agrees with the blueprint."""
    body = canonical.connector_body(blueprint(), {"key": "k"}, mark)
    body["parameters"] |= ({canonical.LABEL_RUN: run} if run else {}) | marks
    return cast(ConnectorDoc, {**body, "id": name, "created_time": created})


class Hook:
    """A cluster that says what it is told to, and keeps what it was sent."""

    def __init__(
        self, predictors: Iterable[dict[str, str]] = (), ids: Iterable[str] = (), kept: Iterable[str] = ()
    ) -> None:
        self._predictors = iter(predictors)
        self._ids = iter(ids)
        self._kept = kept
        self.sent: list[Any] = []
        self.deleted: list[str] = []

    def predictors(self, model_id: str) -> dict[str, str]:
        return next(self._predictors, OLD)

    def get_connector(self, connector_id: str) -> ConnectorDoc | None:
        return None

    def update_model(self, model_id: str, body: Mapping[str, object]) -> None:
        self.sent.append(body)

    def create_connector(self, body: Mapping[str, object]) -> str:
        self.sent.append(body)
        return next(self._ids)

    def search_models(self, query: Mapping[str, object]) -> list[ModelDoc]:
        return []

    def delete_connector(self, connector_id: str) -> None:
        if connector_id in self._kept:
            raise InUse("in use", evidence="1 models are still using this connector", fix="")
        self.deleted.append(connector_id)
