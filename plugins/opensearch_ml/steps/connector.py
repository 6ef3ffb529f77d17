"""The standalone connector of a blueprint."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from opensearch_ml.base.outcome import Action, Changed
from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.credentials import resolver
from opensearch_ml.credentials.supply import Supply
from opensearch_ml.errors import InUse
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import adoption, canonical
from opensearch_ml.resources.rotation_state import CANARY_PREFIX
from opensearch_ml.retries import persistently
from opensearch_ml.steps.once import create_once

log = logging.getLogger(__name__)

UNDO_OR_ROTATE = (
    "run opensearch_ml_rotate_credentials for this blueprint, which brings the change to the model under traffic and "
    "keeps its id, or undo the change"
)


class OneConnector:
    """How the connector of a blueprint is told from others, made, and taken away again.

    :param credential: the resolved credential.
    :param supply: gives the credential in its place, and only if a connector is created.
    """

    def __init__(
        self,
        hook: OpenSearchMLHook,
        blueprint: Blueprint,
        credential: Mapping[str, str],
        supply: Supply | None = None,
    ) -> None:
        self._hook, self._blueprint, self._credential, self._supply = hook, blueprint, credential, supply
        self._known: dict[tuple[str, Any], tuple[str, ...]] = {}

    def differences(self, found: ConnectorDoc) -> tuple[str, ...]:
        """Return in which paths one of ours differs from the blueprint."""
        # A fingerprint is slow on purpose: once per connector, as long as nobody changes it.
        key = (found["id"], found.get("last_updated_time"))
        if key not in self._known:
            accepts = self._supply.accepts if self._supply else None
            self._known[key] = canonical.differences(
                self._blueprint, self._credential, found, self._hook.version, accepts=accepts
            )
        return self._known[key]

    def agreeing(self, found: Iterable[ConnectorDoc]) -> list[ConnectorDoc]:
        """Return those of our connectors that do not differ."""
        return [one for one in found if not self.differences(one)]

    def create(self) -> str:
        """Create one and return its id."""
        if self._supply is None:
            mark = resolver.mark(self._blueprint, self._hook, self._credential)
            return self._hook.create_connector(canonical.connector_body(self._blueprint, self._credential, mark))
        return self._supply.give(
            lambda new: self._hook.create_connector(
                canonical.connector_body(self._blueprint, new.credential, new.mark)
            ),
            [mark_of(found) for found in ours(self._hook, self._blueprint.name)],
        )

    def discard(self, loser: ConnectorDoc) -> None:
        """Delete what `create` made, because another run's is older."""
        delete_if_unused(self._hook, loser["id"])
        if self._supply:
            self._supply.take_back(loser["id"])


def ensure_connector(
    hook: OpenSearchMLHook, blueprint: Blueprint, credential: Mapping[str, str], *, supply: Supply | None = None
) -> Changed:
    """Create the blueprint's connector unless one that agrees with it is there.

    An adopted model keeps the connector that others made for it, as long as that agrees.

    :param credential: the resolved credential.
    :param supply: gives the credential in its place, and only if a connector is to be created.
    :raises InUse: the connector differs from the blueprint and a model uses it; nothing was written.
    :raises UntrustedEndpoint: the cluster does not trust the connector's URL.
    Source: ``POST /_plugins/_ml/connectors/_create``.
    """
    one = OneConnector(hook, blueprint, credential, supply)
    standing = provisioned(hook, blueprint.name)
    if not standing and (theirs := of_adopted_model(hook, blueprint.name)):
        if paths := one.differences(theirs):
            raise _differs_in_use(blueprint, theirs["id"], users_of(hook, theirs["id"]), paths)
        told = "others made it, and the adopted model keeps it"
        return Changed(f"connector of {blueprint.name}", "unchanged", theirs["id"], (told,))
    stale = [found for found in standing if one.differences(found)]
    for found in stale:
        if users := users_of(hook, found["id"]):
            raise _differs_in_use(blueprint, found["id"], users, one.differences(found))
    connector, created = create_once(
        lambda: one.agreeing(provisioned(hook, blueprint.name)),
        one.create,
        one.discard,
    )
    left = tuple(f"{found['id']} was out of date; {delete_if_unused(hook, found['id'])}" for found in stale)
    action: Action = "created" if created else "updated" if left else "unchanged"
    return Changed(f"connector of {blueprint.name}", action, connector["id"], left)


def delete_connectors(hook: OpenSearchMLHook, blueprint_name: str) -> Changed:
    """Delete the blueprint's connectors, but for those that a model still uses."""
    what = f"connector of {blueprint_name}"
    outcomes = [delete_if_unused(hook, found["id"]) for found in ours(hook, blueprint_name)]
    if not outcomes:
        return Changed(what, "unchanged", details=("there is none",))
    action: Action = "left" if all(outcome.action == "left" for outcome in outcomes) else "deleted"
    return Changed(what, action, details=tuple(map(str, outcomes)))


def delete_if_unused(hook: OpenSearchMLHook, connector_id: str) -> Changed:
    """Delete a connector unless a model uses it; a refusal by the server is told, not raised.

    The server's own check splits ids at ``-`` and may answer 409 for a connector that nobody uses; a term search is
    exact. What it keeps is ours by its marks, and the next run tries again.
    """
    if users := users_of(hook, connector_id):
        return Changed("connector", "left", connector_id, (f"used by model {', '.join(users)}",))
    try:
        persistently(lambda: hook.delete_connector(connector_id))
    except InUse as refusal:
        log.warning("connector %s is used by no model, yet the server keeps it: %s", connector_id, refusal.evidence)
        return Changed("connector", "left", connector_id, ("the server takes it for used; a later run tries again",))
    return Changed("connector", "deleted", connector_id)


def ours(hook: OpenSearchMLHook, blueprint_name: str) -> list[ConnectorDoc]:
    """Return the connectors that we made for a blueprint, oldest first."""
    return hook.search_connectors(marked(blueprint_name))


def adopted_models(hook: OpenSearchMLHook, blueprint_name: str) -> list[ModelDoc]:
    """Return the models that were adopted for a blueprint, oldest first, each as GET returns it."""
    found = hook.search_models(adopted_for(blueprint_name))
    current = [fresh for model in found if (fresh := hook.get_model(model["id"]))]
    return [model for model in current if (told := adoption.read(model)) and told.blueprint == blueprint_name]


def adopted_for(blueprint_name: str) -> dict[str, object]:
    """Return the query for models that were adopted for a blueprint; as it asks a text, it finds others too."""
    return {"match_phrase": {"description": f"{adoption.WORDS}: {blueprint_name}"}}


def foreign_connector(hook: OpenSearchMLHook, model: ModelDoc) -> ConnectorDoc | None:
    """Return the connector that an adopted model has from whoever made it, with the marks that the model has for it.

    :return: None if the model was not adopted, or has a connector of ours by now, or one that is gone; ``id`` is empty
        for an internal one.
    """
    told = adoption.read(model)
    if told is None:
        return None
    connector = model.get("connector") or hook.get_connector(str(model.get("connector_id")))
    if connector is None or is_ours(connector):
        return None
    return adoption.as_ours({**connector, "id": "" if model.get("connector") else connector["id"]}, told)


def of_adopted_model(hook: OpenSearchMLHook, blueprint_name: str) -> ConnectorDoc | None:
    """Return the standalone connector that others made for a blueprint's adopted model (`foreign_connector`)."""
    found = (foreign_connector(hook, model) for model in adopted_models(hook, blueprint_name))
    return next((one for one in found if one and one["id"]), None)


def is_ours(connector: ConnectorDoc) -> bool:
    """Tell whether a connector carries our mark."""
    return (connector.get("parameters") or {}).get(canonical.LABEL_OWNER) == OWNER


def marked(blueprint_name: str, parameters: str = "parameters") -> dict[str, object]:
    """Return the query for what carries our marks of a blueprint.

    :param parameters: the field that has them; ``connector.parameters`` for the connector inside a model.
    """
    marks = {canonical.LABEL_OWNER: OWNER, canonical.LABEL_BLUEPRINT: blueprint_name}
    return {"bool": {"filter": [{"term": {f"{parameters}.{key}": value}} for key, value in marks.items()]}}


def provisioned(hook: OpenSearchMLHook, blueprint_name: str) -> list[ConnectorDoc]:
    """Return those of our connectors that are not a rotation's business, oldest first.

    A rotation's candidate has no tested credential yet, so it must not be taken for the blueprint's; and as long as a
    rotation is under way, the connector that served before is its way back.
    """
    found = ours(hook, blueprint_name)
    if not any(_by_rotation(one) for one in found):
        return found
    users = hook.search_models({"terms": {"connector_id.keyword": [one["id"] for one in found]}})
    canaries = {model["connector_id"] for model in users if model["name"].startswith(CANARY_PREFIX)}
    in_use = {model["connector_id"] for model in users if not model["name"].startswith(CANARY_PREFIX)}
    return [one for one in found if one["id"] in in_use or not (canaries or _by_rotation(one))]


def mark_of(connector: ConnectorDoc) -> str | None:
    """Return what a connector carries in the place of its credential's fingerprint."""
    return (connector.get("parameters") or {}).get(canonical.LABEL_CREDENTIAL)


def users_of(hook: OpenSearchMLHook, connector_id: str) -> list[str]:
    """Return the ids of the models that use a connector, deployed or not."""
    return [model["id"] for model in hook.search_models({"term": {"connector_id.keyword": connector_id}})]


def _by_rotation(found: ConnectorDoc) -> bool:
    return canonical.LABEL_RUN in (found.get("parameters") or {})


def _differs_in_use(blueprint: Blueprint, connector_id: str, users: list[str], paths: tuple[str, ...]) -> InUse:
    return InUse(
        f"connector {connector_id} of {blueprint.name} differs from the blueprint and a model uses it; "
        "it was left as it is",
        evidence=f"differs in {', '.join(paths)}; used by model {', '.join(users)}",
        fix=UNDO_OR_ROTATE,
    )
