"""Looking: what stands in the cluster, read as exactly as it can be. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opensearch_ml import OWNER, canonical
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.situation import CANARY_PREFIX, Situation, canary_name, situation
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps import model as models


def look(hook: OpenSearchMLHook, blueprint: Blueprint) -> Situation:
    """Look at one blueprint's objects.

    Source: ``GET /_plugins/_ml/models/{id}``, ``GET /_plugins/_ml/connectors/{id}`` and their searches.
    """
    found = models.ours(hook, blueprint)
    ours = connectors.ours(hook, blueprint.name)
    if len(ours) > 1:
        # A rotation is under way, or was killed: 2.19 refreshes its search after a create only, but GET has changes.
        ours = [{**fresh, "id": one["id"]} for one in ours if (fresh := hook.get_connector(one["id"]))]
    return situation(blueprint, found[0] if found else None, ours, canaries(hook, blueprint.name), hook.version)


def canaries(hook: OpenSearchMLHook, blueprint_name: str) -> list[dict[str, Any]]:
    """Return a blueprint's canary models, oldest first, each as GET returns it."""
    found = hook.search_models({"term": {"name.keyword": canary_name(blueprint_name)}})
    return [{**fresh, "id": model["id"]} for model in found if (fresh := hook.get_model(model["id"]))]


def look_at_all(hook: OpenSearchMLHook, blueprints: Iterable[Blueprint]) -> dict[str, Situation]:
    """Look at many blueprints in two searches, whatever their number: a fleet in which nothing is to do costs that.

    What it says may be a second old; `look` is asked again before anything is written.

    :return: by the blueprint's name.
    Source: ``POST /_plugins/_ml/connectors/_search``, ``POST /_plugins/_ml/models/_search``.
    """
    ours = hook.search_connectors({"term": {f"parameters.{canonical.MARK_OWNER}": OWNER}})
    of_ours = [
        {"term": {f"connector.parameters.{canonical.MARK_OWNER}": OWNER}},
        {"prefix": {"name.keyword": CANARY_PREFIX}},
        {"terms": {"connector_id.keyword": [one["id"] for one in ours]}},
    ]
    found = hook.search_models({"bool": {"should": of_ours, "minimum_should_match": 1}})
    return {blueprint.name: _one_of_all(hook, blueprint, ours, found) for blueprint in blueprints}


def _one_of_all(
    hook: OpenSearchMLHook, blueprint: Blueprint, ours: list[dict[str, Any]], found: list[dict[str, Any]]
) -> Situation:
    its = [one for one in ours if _is_for(blueprint, one)]
    ids = {one["id"] for one in its}
    model = next(
        (
            one
            for one in found
            if one.get("name") == blueprint.model_name
            and (one.get("connector_id") in ids or _is_for(blueprint, one.get("connector") or {}))
        ),
        None,
    )
    seen = [one for one in found if one.get("name") == canary_name(blueprint.name)]
    return situation(blueprint, model, its, seen, hook.version)


def _is_for(blueprint: Blueprint, connector: dict[str, Any]) -> bool:
    return (connector.get("parameters") or {}).get(canonical.MARK_BLUEPRINT) == blueprint.name
