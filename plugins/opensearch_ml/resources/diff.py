"""What differs between a blueprint and what stands for it, field by field, as a plan shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.resources import adoption, bodies, canonical, masking
from opensearch_ml.resources.changes import Difference


def of_definition(blueprint: Blueprint, connector: ConnectorDoc, version: tuple[int, ...]) -> tuple[Difference, ...]:
    """Return what differs in a connector's definition; the credential is not asked."""
    return tuple(
        Difference(path, masking.value(path, found), masking.value(path, wanted))
        for path, found, wanted in canonical.definition_changes(blueprint, connector, version)
    )


def of_credential(mark: str | None) -> Difference:
    """Return the difference that a credential is which does not serve any more.

    :param mark: what the connector carries for it.
    """
    return Difference("credential", masking.mark(mark), "new value")


def of_model(blueprint: Blueprint, model: ModelDoc) -> tuple[Difference, ...]:
    """Return what differs in a model's own fields, as ``model.…``; the mark of an adopted one is no difference."""
    body = bodies.model(blueprint, model_group_id="", credential={}, known=bodies.NO_LABEL)
    differing = bodies.model_update(body, model)
    if "description" in differing and adoption.read(model):
        model = {**model, "description": adoption.plain(model["description"])}
        differing["description"] = adoption.plain(differing["description"])
    if model.get("name") != blueprint.model_name:
        differing["name"] = blueprint.model_name
    return tuple(
        one for key in sorted(differing) for one in _differences(f"model.{key}", model.get(key), differing[key])
    )


def _differences(path: str, found: Any, wanted: Any) -> Iterator[Difference]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted(wanted):
            if not bodies.holds(found.get(key), wanted[key]):
                yield from _differences(f"{path}.{key}", found.get(key), wanted[key])
    else:
        yield Difference(path, masking.value(path, found), masking.value(path, wanted))
