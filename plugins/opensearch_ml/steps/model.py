"""The model group and the model of a blueprint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from opensearch_ml.base.outcome import Changed
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc, ModelGroupDoc
from opensearch_ml.credentials import resolver
from opensearch_ml.credentials.supply import Supply
from opensearch_ml.errors import Conflict, InUse, PermissionDenied
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import adoption, bodies, canonical
from opensearch_ml.resources.bodies import GROUP_LABEL
from opensearch_ml.resources.inventory import serving_first
from opensearch_ml.resources.rotation_state import CANARY_PREFIX
from opensearch_ml.retries import persistently
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps.once import create_once


def ensure_model_group(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Create the blueprint's model group, or reuse the one that has its name; an adopted model stays in its own.

    :raises PermissionDenied: somebody else has one of that name, and does not share it.
    Source: ``POST /_plugins/_ml/model_groups/_register``.
    """
    name = blueprint.group_name

    def look() -> list[ModelGroupDoc]:
        return hook.search_model_groups({"term": {"name.keyword": name}})

    if not (standing := look()):
        for adopted in connectors.adopted_models(hook, blueprint.name):
            told = "the adopted model is in it"
            return Changed("model group", "unchanged", str(adopted.get("model_group_id") or ""), (told,))
    try:
        found, created = create_once(
            lambda: standing or look(),
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


class OneModel:
    """How the model of a blueprint is registered, and taken away again."""

    def __init__(
        self,
        hook: OpenSearchMLHook,
        blueprint: Blueprint,
        model_group_id: str,
        connector_id: str | None,
        credential: Mapping[str, str],
        supply: Supply | None = None,
    ) -> None:
        self._hook, self._blueprint, self._supply = hook, blueprint, supply
        self._group_id, self._connector_id, self._credential = model_group_id, connector_id, credential

    @property
    def body(self) -> dict[str, Any]:
        """The body that registers it; of an internal connector's credential it holds no fingerprint."""
        return self._body(self._credential, bodies.NO_LABEL)

    def register(self) -> str:
        """Register one and return its id."""
        if not self._blueprint.inline:
            return self._hook.register_model(self.body)
        if self._supply is None:
            mark = resolver.mark(self._blueprint, self._hook, self._credential)
            return self._hook.register_model(self._body(self._credential, mark))
        return self._supply.give(
            lambda new: self._hook.register_model(self._body(new.credential, new.mark)),
            [connectors.mark_of(model.get("connector") or {}) for model in ours(self._hook, self._blueprint)],
        )

    def discard(self, loser: ModelDoc) -> None:
        """Delete what `register` made, because another run's is older."""
        self._hook.delete_model(loser["id"])
        if self._supply:
            self._supply.take_back(loser["id"])

    def _body(self, credential: Mapping[str, str], mark: str) -> dict[str, Any]:
        return bodies.model(
            self._blueprint,
            model_group_id=self._group_id,
            connector_id=self._connector_id,
            credential=credential,
            known=mark,
        )


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
    one = OneModel(hook, blueprint, model_group_id, connector_id, credential or {}, supply)
    found, created = create_once(
        lambda: ours(hook, blueprint),
        # Registers into one group collide with 409; then the model is looked for, and tried again.
        one.register,
        one.discard,
    )
    what, model_id = f"model {blueprint.model_name}", found["id"]
    if created:
        return Changed(what, "created", model_id)
    if blueprint.inline and (
        paths := canonical.differences(
            blueprint,
            credential or {},
            connectors.foreign_connector(hook, found) or found["connector"],
            hook.version,
            accepts=supply.accepts if supply else None,
        )
    ):
        raise InUse(
            f"the connector inside model {model_id} of {blueprint.name} differs from the blueprint",
            evidence=f"differs in {', '.join(paths)}",
            fix=connectors.UNDO_OR_ROTATE,
        )
    changes = bodies.model_update(one.body, found)
    if not blueprint.inline and not _uses(hook, blueprint, found, connector_id):
        changes["connector_id"] = connector_id
    if changes:
        persistently(lambda: hook.update_model(model_id, changes))
    return Changed(what, "updated" if changes else "unchanged", model_id, tuple(sorted(changes)))


def delete_models(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Delete the blueprint's models; they must be undeployed. An adopted one loses its mark, and stays as it is."""
    found = []
    left = []
    for model in ours(hook, blueprint):
        if released(hook, model):
            left.append(model["id"])
        else:
            found.append(model)
    for model in found:
        persistently(partial(hook.delete_model, model["id"]))
    what = f"model {blueprint.model_name}"
    told = tuple(f"{model_id} was adopted: its mark is removed, and it stays with whoever made it" for model_id in left)
    if not found:
        return Changed(what, "updated" if left else "unchanged", details=told or ("there is none",))
    return Changed(what, "deleted", ", ".join(model["id"] for model in found), told)


def released(hook: OpenSearchMLHook, model: ModelDoc) -> bool:
    """Take the mark from an adopted model that has the connector of whoever made it still; its callers do not notice.

    :param model: as GET returns it.
    :return: False: it is ours, and nothing was written.
    """
    if not is_others(hook, model):
        return False
    plain = adoption.plain(model["description"])
    persistently(lambda: hook.update_model(model["id"], {"description": plain}))
    return True


def is_others(hook: OpenSearchMLHook, model: ModelDoc) -> bool:
    """Tell whether a model was adopted, and has no connector of ours yet: of that one only the mark is ours."""
    if adoption.read(model) is None:
        return False
    connector = model.get("connector") or hook.get_connector(str(model.get("connector_id")))
    return not (connector and connectors.is_ours(connector))


def delete_model_group(hook: OpenSearchMLHook, blueprint: Blueprint) -> Changed:
    """Delete the blueprint's model group if it is ours and empty."""
    name = blueprint.group_name
    for group in hook.search_model_groups({"term": {"name.keyword": name}}):
        what = f"model group {name}"
        if GROUP_LABEL not in (group.get("description") or ""):
            return Changed(what, "left", group["id"], ("it was not made by us",))
        if others := hook.search_models({"term": {"model_group_id": group["id"]}}):
            return Changed(what, "left", group["id"], (f"it holds model {', '.join(m['id'] for m in others)}",))
        persistently(partial(hook.delete_model_group, group["id"]))
        return Changed(what, "deleted", group["id"])
    return Changed(f"model group {name}", "unchanged", details=("there is none",))


def ours(hook: OpenSearchMLHook, blueprint: Blueprint) -> list[ModelDoc]:
    """Return the models that we registered for a blueprint, a serving one first, then the oldest.

    A model has no field for an owner on every server version: its connector tells, or else its group; an adopted one
    says so itself, whatever its name is.
    """
    named = {"term": {"name.keyword": blueprint.model_name}}
    found = hook.search_models(
        {"bool": {"should": [named, connectors.adopted_for(blueprint.name)], "minimum_should_match": 1}}
    )
    if not found:
        return []
    # An update is not searchable at once (2.19 refreshes after a create only), but GET has it.
    current = [fresh for model in found if (fresh := hook.get_model(model["id"]))]
    known = {connector["id"] for connector in connectors.ours(hook, blueprint.name)}
    groups = hook.search_model_groups({"term": {"name.keyword": blueprint.group_name}})
    marked = {group["id"] for group in groups if GROUP_LABEL in (group.get("description") or "")}

    def is_for_it(model: ModelDoc) -> bool:
        if (told := adoption.read(model)) and told.blueprint == blueprint.name:
            return True
        if model.get("name") != blueprint.model_name:
            return False
        inside = (model.get("connector") or {}).get("parameters") or {}
        return (
            model.get("connector_id") in known
            or model.get("model_group_id") in marked
            or (connectors.is_ours({"parameters": inside}) and inside.get(canonical.LABEL_BLUEPRINT) == blueprint.name)
        )

    return serving_first(filter(is_for_it, current))


def made_from(hook: OpenSearchMLHook, blueprint_name: str) -> list[ModelDoc]:
    """Return the models on the connectors of a blueprint, whatever their own name is; no canaries.

    :param blueprint_name: as the connectors carry it; there need be no file of that name any more.
    """
    of_ours = [
        connectors.marked(blueprint_name, "connector.parameters"),
        connectors.adopted_for(blueprint_name),
    ]
    if ids := [connector["id"] for connector in connectors.ours(hook, blueprint_name)]:
        of_ours.append({"terms": {"connector_id.keyword": ids}})
    found = hook.search_models({"bool": {"should": of_ours, "minimum_should_match": 1}})
    adopted_for_others = [
        one["id"] for one in found if (told := adoption.read(one)) and told.blueprint != blueprint_name
    ]
    return [
        model
        for model in found
        if not str(model.get("name")).startswith(CANARY_PREFIX) and model["id"] not in adopted_for_others
    ]


def under_another_name(blueprint: Blueprint, standing: Iterable[ModelDoc]) -> InUse:
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


def _uses(hook: OpenSearchMLHook, blueprint: Blueprint, model: ModelDoc, connector_id: str | None) -> bool:
    """Tell whether a model uses the connector, or one that a rotation has put in its place since it was looked up."""
    used = model.get("connector_id")
    return used == connector_id or used in [connector["id"] for connector in connectors.ours(hook, blueprint.name)]
