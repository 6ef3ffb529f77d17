"""A stand-in for the hook of a rotation: what the cluster says is given, and what it is sent is kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opensearch_ml.errors import InUse

OLD, NEW = {"one": "a", "two": "b"}, {"one": "c", "two": "d"}


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

    def get_connector(self, connector_id: str) -> dict[str, Any] | None:
        return None

    def update_model(self, model_id: str, body: dict[str, Any]) -> None:
        self.sent.append(body)

    def create_connector(self, body: dict[str, Any]) -> str:
        self.sent.append(body)
        return next(self._ids)

    def search_models(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        return []

    def delete_connector(self, connector_id: str) -> None:
        if connector_id in self._kept:
            raise InUse("in use", evidence="1 models are still using this connector", fix="")
        self.deleted.append(connector_id)
