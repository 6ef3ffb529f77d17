"""The model group and the model of a blueprint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from opensearch_ml import bodies, canonical
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.bodies import GROUP_MARK
from opensearch_ml.errors import Conflict, InUse, PermissionDenied
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.situation import CANARY_PREFIX
from opensearch_ml.rotation.supply import Supply
from opensearch_ml.states import MODEL_DEPLOYED, MODEL_DEPLOYING
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps.changed import Changed
from opensearch_ml.steps.once import create_once


def ensure_model_group(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Create the blueprint's model group, or reuse the one that has its name.

    :raises PermissionDenied: somebody else has one of that name, and does not share it.
    Source: ``POST /_plugins/_ml/model_groups/_register``.
    """
    name = blueprint.group_name

    def look() -> list[dict[str, Any]]:
        return hook.search_model_groups({"term": {"name.keyword": name}})

    try:
        found, created = create_once(
            look,
            lambda: hook.create_model_group(bodies.model_group(blueprint)),
            lambda loser: hook.delete_model_group(loser["id"]),
        )
    except Conflict as taken:
        if look():
            raise
        raise PermissionDenied(
            f"another user has a model group {name}, which is not shared with the connection's user",
            evidence=taken.evidence,
            fix="let its owner share it with a backend role of the user (access_mode: restricted), or give model.group "
            "another name",
        ) from None
    return Changed(f"model group {name}", "created" if created else "unchanged", found["id"])


def ensure_model(
    hook: OpenSearchMLHook,
    blueprint: Blueprint,
    *,
    model_group_id: str,
    connector_id: str | None = None,
    credential: Mapping[str, str] | None = None,
    supply: Supply | None = None,
) -> Changed:
    """Register the blueprint's model unless it is there; mend what differs in its own fields.

    :param connector_id: the standalone connector; None for an internal one, which needs `credential`.
    :param supply: gives the credential of an internal one in its place, and only if a model is to be registered.
    :raises InUse: the internal connector differs from the blueprint; nothing was written.
    Source: ``POST /_plugins/_ml/models/_register``, ``PUT /_plugins/_ml/models/{id}``.
    """
    body = bodies.model(blueprint, model_group_id=model_group_id, connector_id=connector_id, credential=credential)

    def register() -> str:
        if supply is None or not blueprint.inline:
            return hook.register_model(body)
        return supply.give(
            lambda new: hook.register_model(
                bodies.model(blueprint, model_group_id=model_group_id, credential=new.credential, known=new.mark)
            ),
            [connectors.mark_of(model.get("connector") or {}) for model in ours(hook, blueprint)],
        )

    def discard(loser: Mapping[str, Any]) -> None:
        hook.delete_model(loser["id"])
        if supply:
            supply.take_back(loser["id"])

    found, created = create_once(
        lambda: ours(hook, blueprint),
        # Registers into one group collide with 409; then the model is looked for, and tried again.
        register,
        discard,
    )
    what, model_id = f"model {blueprint.model_name}", found["id"]
    if created:
        return Changed(what, "created", model_id)
    if blueprint.inline and (
        paths := canonical.differences(
            blueprint,
            credential or {},
            found["connector"],
            hook.version,
            accepts=supply.accepts if supply else None,
        )
    ):
        raise InUse(
            f"the connector inside model {model_id} of {blueprint.name} differs from the blueprint",
            evidence=f"differs in {', '.join(paths)}",
            fix=connectors.UNDO_OR_ROTATE,
        )
    changes = bodies.model_update(body, found)
    if not blueprint.inline and not _uses(hook, blueprint, found, connector_id):
        changes["connector_id"] = connector_id
    if changes:
        persistently(lambda: hook.update_model(model_id, changes))
    return Changed(what, "updated" if changes else "unchanged", model_id, tuple(sorted(changes)))


def delete_models(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Delete the blueprint's models; they must be undeployed."""
    found = ours(hook, blueprint)
    for model in found:
        persistently(partial(hook.delete_model, model["id"]))
    what = f"model {blueprint.model_name}"
    if not found:
        return Changed(what, "unchanged", details=("there is none",))
    return Changed(what, "deleted", ", ".join(model["id"] for model in found))


def delete_model_group(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Delete the blueprint's model group if it is ours and empty."""
    name = blueprint.group_name
    for group in hook.search_model_groups({"term": {"name.keyword": name}}):
        what = f"model group {name}"
        if GROUP_MARK not in (group.get("description") or ""):
            return Changed(what, "left", group["id"], ("it was not made by us",))
        if others := hook.search_models({"term": {"model_group_id": group["id"]}}):
            return Changed(what, "left", group["id"], (f"it holds model {', '.join(m['id'] for m in others)}",))
        hook.delete_model_group(group["id"])
        return Changed(what, "deleted", group["id"])
    return Changed(f"model group {name}", "unchanged", details=("there is none",))


def ours(hook: OpenSearchMLHook, blueprint: Blueprint) -> list[dict[str, Any]]:
    """Return the models that we registered for a blueprint, a serving one first, then the oldest.

    A model has no field for an owner on every server version: its connector tells, or else its group.
    """
    of_ours = [connectors.marked(blueprint.name, "connector.parameters")]
    groups = hook.search_model_groups({"term": {"name.keyword": blueprint.group_name}})
    for field, ids in (
        ("connector_id.keyword", [connector["id"] for connector in connectors.ours(hook, blueprint.name)]),
        ("model_group_id", [group["id"] for group in groups if GROUP_MARK in group.get("description", "")]),
    ):
        if ids:
            of_ours.append({"terms": {field: ids}})
    found = hook.search_models(
        {
            "bool": {
                "filter": [{"term": {"name.keyword": blueprint.model_name}}],
                "should": of_ours,
                "minimum_should_match": 1,
            }
        }
    )
    # An update is not searchable at once (2.19 refreshes after a create only), but GET has it.
    current = [{**fresh, "id": model["id"]} for model in found if (fresh := hook.get_model(model["id"]))]
    return sorted(current, key=lambda model: model.get("model_state") not in MODEL_DEPLOYED | MODEL_DEPLOYING)


def made_from(hook: OpenSearchMLHook, blueprint_name: str) -> list[dict[str, Any]]:
    """Return the models on the connectors of a blueprint, whatever their own name is; no canaries.

    :param blueprint_name: as the connectors carry it; there need be no file of that name any more.
    """
    of_ours = [connectors.marked(blueprint_name, "connector.parameters")]
    if ids := [connector["id"] for connector in connectors.ours(hook, blueprint_name)]:
        of_ours.append({"terms": {"connector_id.keyword": ids}})
    found = hook.search_models({"bool": {"should": of_ours, "minimum_should_match": 1}})
    return [model for model in found if not str(model.get("name")).startswith(CANARY_PREFIX)]


def under_another_name(blueprint: Blueprint, standing: Iterable[Mapping[str, Any]]) -> InUse:
    """Return the error for a blueprint whose model stands under another name: a new one would leave that to itself.

    :param standing: what `made_from` returned.
    """
    told = ", ".join(f"{model['id']} ({model.get('name')})" for model in standing)
    return InUse(
        f"the model of {blueprint.name} stands under another name than {blueprint.model_name}",
        evidence=f"model {told} is on a connector of {blueprint.name}, and none there is named {blueprint.model_name}",
        fix="restore the name (model.name in the blueprint; its file's name without one); for a new model under a new "
        f"name, restore it, run opensearch_ml_teardown for {blueprint.name}, and rename only then",
    )


def _uses(hook: OpenSearchMLHook, blueprint: Blueprint, model: Mapping[str, Any], connector_id: str | None) -> bool:
    """Tell whether a model uses the connector, or one that a rotation has put in its place since it was looked up."""
    used = model.get("connector_id")
    return used == connector_id or used in [connector["id"] for connector in connectors.ours(hook, blueprint.name)]
