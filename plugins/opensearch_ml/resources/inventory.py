"""What stands on a cluster, as a few searches returned it: values, asked for what belongs to whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, Doc, ModelDoc, ModelGroupDoc
from opensearch_ml.client.states import MODEL_DEPLOYED, MODEL_DEPLOYING, MODEL_PARTIALLY_DEPLOYED
from opensearch_ml.resources import adoption, canonical
from opensearch_ml.resources.rotation_state import CANARY_PREFIX, RotationState, canary_name, derive_rotation_state


@dataclass(frozen=True)
class Fleet:
    """The remote models of a cluster and their connectors.

    :param connectors: those with our mark, and those that a remote model uses.
    :param models: all remote models, canaries too.
    :param version: the server's.
    :param groups: ids of the model groups that carry our mark, of those that were asked for.
    """

    connectors: Sequence[ConnectorDoc]
    models: Sequence[ModelDoc]
    version: tuple[int, ...]
    groups: frozenset[str] = frozenset()

    @property
    def blueprints(self) -> set[str]:
        """The names of the blueprints that have a model on a connector of ours."""
        return {self._by_connector(model) for model in self.models if not is_canary(model)} - {""}

    def rotation_state(self, blueprint: Blueprint) -> RotationState:
        """Return what stands for one blueprint, as a rotation sees it."""
        models = self.models_of(blueprint)
        connectors = self.connectors_of(blueprint.name)
        if models and (foreign := self._adopted_connector(models[0])) and "id" in foreign:
            connectors = sorted([*connectors, foreign], key=_age)
        model = models[0] if models else None
        if model and model.get("connector") and (serving := self.serving_connector(model)):
            model = {**model, "connector": serving}
        return derive_rotation_state(blueprint, model, connectors, self.canaries_of(blueprint.name), self.version)

    def canaries_of(self, blueprint_name: str) -> list[ModelDoc]:
        """Return the models through which a rotation tests for a blueprint, oldest first."""
        return self._named.get(canary_name(blueprint_name), [])

    def connectors_of(self, blueprint_name: str) -> list[ConnectorDoc]:
        """Return the connectors that we made for a blueprint, oldest first."""
        return self._ours.get(blueprint_name, [])

    def made_from(self, blueprint_name: str) -> list[ModelDoc]:
        """Return the models that are for a blueprint, whatever their own name is; oldest first, no canaries."""
        return self._owned.get(blueprint_name, [])

    def models_of(self, blueprint: Blueprint) -> list[ModelDoc]:
        """Return the models of a blueprint: a serving one first, then the oldest; more than one is a duplicate."""
        owned = self.made_from(blueprint.name)
        known = [one for one in owned if one.get("name") == blueprint.model_name or adoption.read(one)]
        if not known:
            bare = [one for one in self._named.get(blueprint.model_name, ()) if self._is_bare(one)]
            # The server puts a model that was registered without a group into the group of its name: ours, for one that
            # somebody made with a connector of his own.
            has_ours = bool(self.connectors_of(blueprint.name))
            known = [one for one in bare if has_ours or self.connector_in(one) is None]
        if not known:
            # Its name was changed in the blueprint. One that a person made on our connector is not in our group.
            renamed = [one for one in owned if self.is_in_our_group(one)]
            known = renamed if len(renamed) == 1 else []
        return serving_first(known)

    def strangers(self, model_name: str) -> list[ModelDoc]:
        """Return the models of a name that are not ours, oldest first; of a blueprint that has none of its own."""
        return [one for one in self._named.get(model_name, ()) if not self.owner(one)]

    def orphans(self, wanted: Iterable[str]) -> dict[str, tuple[list[ModelDoc], list[ConnectorDoc]]]:
        """Return what is ours and wanted no more: (models, connectors) by the name of its blueprint.

        :param wanted: names of blueprints. A model that somebody else made on one of our connectors is not ours.
        """
        rest = sorted((self._ours.keys() | self._owned.keys()) - set(wanted))
        return {
            name: ([one for one in self._owned.get(name, ()) if self._is_ours(one, name)], self.connectors_of(name))
            for name in rest
        }

    def lost(self, model_names: set[str]) -> list[ModelDoc]:
        """Return the models in our groups whose connector is gone, and with it what tells their blueprint.

        :param model_names: that are wanted.
        """
        return [
            one
            for one in self.models
            if self._is_bare(one) and self.connector_in(one) is None and one.get("name") not in model_names
        ]

    def owner(self, model: ModelDoc) -> str:
        """Return the name of the blueprint that a model is for, by its connector or by itself; empty if not ours."""
        told = adoption.read(model)
        return self._by_connector(model) or (told.blueprint if told else "")

    def connector_in(self, model: ModelDoc) -> ConnectorDoc | None:
        """Return the connector that a model uses, standalone or internal; None if it is gone."""
        return model.get("connector") or self._by_id.get(str(model.get("connector_id")))

    def serving_connector(self, model: ModelDoc) -> ConnectorDoc | None:
        """Return the connector that a model uses; of an adopted one, with the marks that its model carries for it."""
        return self._adopted_connector(model) or self.connector_in(model)

    def model(self, model_id: str) -> ModelDoc | None:
        """Return the model of an id."""
        return next((model for model in self.models if model["id"] == model_id), None)

    def connector(self, connector_id: str) -> ConnectorDoc | None:
        """Return the connector of an id."""
        return self._by_id.get(connector_id)

    def users(self, connector_id: str) -> list[ModelDoc]:
        """Return the models that use a connector."""
        return self._users.get(connector_id, [])

    def is_others(self, model: ModelDoc) -> bool:
        """Tell whether a model was adopted, and has the connector of whoever made it still: its mark alone is ours."""
        return adoption.read(model) is not None and not self._by_connector(model)

    def is_in_our_group(self, model: ModelDoc) -> bool:
        """Tell whether a model is in a group that carries our mark."""
        return model.get("model_group_id") in self.groups

    def _by_connector(self, model: ModelDoc) -> str:
        connector = self.connector_in(model)
        return blueprint_of(connector) if connector else ""

    def _is_bare(self, model: ModelDoc) -> bool:
        # What its connector said is lost with it, or somebody has given it another one; its group still tells.
        return self.is_in_our_group(model) and not is_canary(model) and not self.owner(model)

    def _is_ours(self, model: ModelDoc, blueprint_name: str) -> bool:
        inside = model.get("connector") is not None or adoption.read(model) is not None
        return inside or self.is_in_our_group(model) or model.get("name") == blueprint_name

    def _adopted_connector(self, model: ModelDoc) -> ConnectorDoc | None:
        told, connector = adoption.read(model), self.connector_in(model)
        if told is None or connector is None or blueprint_of(connector):
            return None
        return adoption.as_ours(connector, told)

    @cached_property
    def _by_id(self) -> dict[str, ConnectorDoc]:
        return {one["id"]: one for one in self.connectors}

    @cached_property
    def _ours(self) -> dict[str, list[ConnectorDoc]]:
        return _grouped((blueprint_of(one), one) for one in self.connectors)

    @cached_property
    def _owned(self) -> dict[str, list[ModelDoc]]:
        return _grouped((self.owner(model), model) for model in self.models if not is_canary(model))

    @cached_property
    def _named(self) -> dict[str, list[ModelDoc]]:
        return _grouped((str(model.get("name")), model) for model in self.models)

    @cached_property
    def _users(self) -> dict[str, list[ModelDoc]]:
        return _grouped((str(model.get("connector_id") or ""), model) for model in self.models)


@dataclass(frozen=True)
class Cluster:
    """A cluster as a plan needs to know it.

    :param settings: all effective settings, flat.
    :param mappings: who is mapped to which role, by role and kind; None if that was not asked, or refused.
    :param unseen: what could not be looked at, one sentence each.
    """

    fleet: Fleet
    settings: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Mapping[str, Sequence[str]]] | None = None
    unseen: tuple[str, ...] = ()


def blueprint_of(connector: ConnectorDoc) -> str:
    """Return the name of the blueprint that a connector of ours is for; empty if it is not ours."""
    marks = connector.get("parameters") or {}
    return str(marks.get(canonical.LABEL_BLUEPRINT, "")) if marks.get(canonical.LABEL_OWNER) == OWNER else ""


def serving_first(models: Iterable[ModelDoc]) -> list[ModelDoc]:
    """Return models with those first that are deployed, also in part, or being deployed; otherwise in their order."""
    serving = MODEL_DEPLOYED | MODEL_DEPLOYING | MODEL_PARTIALLY_DEPLOYED
    return sorted(models, key=lambda model: model.get("model_state") not in serving)


def is_canary(model: ModelDoc) -> bool:
    """Tell whether a model is one through which a rotation tests."""
    return str(model.get("name")).startswith(CANARY_PREFIX)


def _grouped(pairs: Iterable[tuple[str, Doc]]) -> dict[str, list[Doc]]:
    found: dict[str, list[Doc]] = defaultdict(list)
    for key, one in pairs:
        if key:
            found[key].append(one)
    return {key: sorted(ones, key=_age) for key, ones in found.items()}


def _age(one: ConnectorDoc | ModelDoc | ModelGroupDoc) -> tuple[int, str]:
    return int(one.get("created_time") or 0), str(one["id"])
