"""Deleting what is ours and wanted no more, in the order that breaks nothing that lives.

A predict deploys an undeployed model again, so it is disabled first; a connector goes once no model uses it; a group
once it is empty; what was trusted for the connectors once no connector on the cluster needs it. What others made, and
only was adopted, loses our mark and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from opensearch_ml.client import states
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.errors import Final
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.bodies import GROUP_LABEL
from opensearch_ml.resources.changes import Change
from opensearch_ml.resources.inventory import Fleet
from opensearch_ml.retries import persistently
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps import model as models
from opensearch_ml.steps.deployment import deploy

log = logging.getLogger(__name__)


def prune(hook: OpenSearchMLHook, change: Change) -> list[str]:
    """Delete the models and connectors of an orphan, and return what was done, one sentence each."""
    told = []
    groups = {}
    for model_id in change.models:
        if (model := hook.get_model(model_id)) is None:
            continue
        if models.released(hook, model):
            told.append(f"model {model_id} was adopted: its mark is removed, and it stays")
            continue
        delete_model(hook, model)
        groups[str(model.get("model_group_id") or "")] = True
        told.append(f"model {model_id} deleted")
    told += [str(connectors.delete_if_unused(hook, connector_id)) for connector_id in change.connectors]
    return told + [f"group {one} deleted" for one in _delete_empty(hook, filter(None, groups))]


def delete_model(hook: OpenSearchMLHook, model: ModelDoc) -> None:
    """Disable, undeploy and delete a model; if the cluster keeps it, it is given back as it was.

    :param model: as GET returns it, with its ``id``.
    :raises Final: the cluster keeps it, for instance because a pipeline uses it.
    """
    model_id, was_up = model["id"], model.get("model_state") not in states.MODEL_NOT_DEPLOYED
    if was_up:
        persistently(partial(hook.update_model, model_id, {"is_enabled": False}))
        persistently(partial(hook.undeploy_model, model_id))
    try:
        persistently(partial(hook.delete_model, model_id))
    except Final:
        if was_up:
            log.warning("model %s cannot be deleted; it is deployed again", model_id)
            enabled = model.get("is_enabled") is not False
            persistently(partial(hook.update_model, model_id, {"is_enabled": enabled}))
            deploy(hook, model_id)
        raise


def connectors_of(fleet: Fleet, changes: Iterable[Change]) -> list[ConnectorDoc]:
    """Return those of our connectors, standalone and internal, that changes delete."""
    found = [fleet.connector(one) for change in changes for one in change.connectors]
    found += [model.get("connector") for change in changes for one in change.models if (model := fleet.model(one))]
    return [connector for connector in found if connector and connectors.is_ours(connector)]


def _delete_empty(hook: OpenSearchMLHook, group_ids: Iterable[str]) -> list[str]:
    deleted = []
    for group in hook.search_model_groups({"ids": {"values": sorted(group_ids)}}):
        ours = GROUP_LABEL in (group.get("description") or "")
        if ours and not hook.search_models({"term": {"model_group_id": group["id"]}}):
            persistently(partial(hook.delete_model_group, group["id"]))
            deleted.append(group["id"])
    return deleted
