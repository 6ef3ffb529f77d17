"""Looking: what stands in the cluster, read as exactly as it can be. Nothing here writes."""

from __future__ import annotations

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.rotation_state import RotationState, canary_name, derive_rotation_state
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps import model as models


def read_rotation_state(hook: OpenSearchMLHook, blueprint: Blueprint) -> RotationState:
    """Look at one blueprint's objects.

    Source: ``GET /_plugins/_ml/models/{id}``, ``GET /_plugins/_ml/connectors/{id}`` and their searches.
    """
    found = models.ours(hook, blueprint)
    ours = connectors.ours(hook, blueprint.name)
    if len(ours) > 1:
        # A rotation is under way, or was killed: 2.19 refreshes its search after a create only, but GET has changes.
        ours = [fresh for one in ours if (fresh := hook.get_connector(one["id"]))]
    model = found[0] if found else None
    if model and (others := connectors.foreign_connector(hook, model)):
        if others["id"]:
            ours = sorted([*ours, others], key=lambda one: (int(one.get("created_time") or 0), one["id"]))
        else:
            model = {**model, "connector": others}
    return derive_rotation_state(blueprint, model, ours, canaries(hook, blueprint.name), hook.version)


def canaries(hook: OpenSearchMLHook, blueprint_name: str) -> list[ModelDoc]:
    """Return a blueprint's canary models, oldest first, each as GET returns it."""
    found = hook.search_models({"term": {"name.keyword": canary_name(blueprint_name)}})
    return [fresh for model in found if (fresh := hook.get_model(model["id"]))]
