"""Making many models that are not there at all: connectors and groups, then models, then their deployment and test.

The same objects as the provisioning makes, by the same rule of exactly one of each (`once`), but with one look and one
wait for all of them: for a hundred models that is a hundred times less to ask. What a killed run has begun is not made
here: `actions.provision` looks at that one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ConnectorDoc, Doc, ModelDoc, ModelGroupDoc
from opensearch_ml.credentials.supply import Supply
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import bodies, canonical
from opensearch_ml.resources.bodies import GROUP_LABEL
from opensearch_ml.resources.inventory import Fleet
from opensearch_ml.steps.connector import OneConnector
from opensearch_ml.steps.model import OneModel, ensure_model_group
from opensearch_ml.steps.once import Each, Maker, create_each_once, one_by_one


@dataclass(frozen=True)
class Making:
    """One model to be made, as far as it is made.

    :param credential: resolved; empty if `supply` gives it.
    """

    blueprint: Blueprint
    credential: Mapping[str, str]
    supply: Supply | None
    connector_id: str | None = None
    group_id: str = ""
    model_id: str = ""


Made = Mapping[str, "Making | Exception"]


def make(
    hook: OpenSearchMLHook,
    wanted: Mapping[str, Making],
    each: Each,
    *,
    start: Callable[[Making], str],
    on_end: Callable[[str, str | Exception], None],
) -> None:
    """Make models that are not there.

    :param wanted: by the blueprint's name; there is no connector and no model of ours for any of them.
    :param each: calls many at once.
    :param start: deploys a registered model, tests it, and tells what was seen.
    :param on_end: called with what was told, or why it could not be made.
    """
    making = _drop_failed(_with_connectors(hook, wanted, each), on_end)
    making = _drop_failed(_with_groups(hook, making, each), on_end)
    agents = {name: one for name, one in making.items() if one.blueprint.connector.is_mcp}
    for name, one in agents.items():
        on_end(name, f"connector {one.connector_id} created")
    rest = {name: one for name, one in making.items() if name not in agents}
    registered = _drop_failed(_with_models(hook, rest, each), on_end)
    for name, result in each({name: partial(start, one) for name, one in registered.items()}).items():
        on_end(name, result)


def _drop_failed(made: Made, on_end: Callable[[str, str | Exception], None]) -> dict[str, Making]:
    for name, one in made.items():
        if isinstance(one, Exception):
            on_end(name, one)
    return {name: one for name, one in made.items() if isinstance(one, Making)}


def _with_connectors(hook: OpenSearchMLHook, making: Mapping[str, Making], each: Each) -> Made:
    kinds = {
        name: OneConnector(hook, one.blueprint, one.credential, one.supply)
        for name, one in making.items()
        if not one.blueprint.inline
    }

    def look() -> dict[str, list[ConnectorDoc]]:
        found = _ours(hook, kinds)
        return {name: kinds[name].agreeing(ones) for name, ones in found.items()}

    outcome = create_each_once(
        {name: Maker(kind.create, kind.discard) for name, kind in kinds.items()}, look, each, looked=True
    )
    return {
        name: one if name not in kinds else _given(outcome[name], one, "connector_id") for name, one in making.items()
    }


def _with_groups(hook: OpenSearchMLHook, making: Mapping[str, Making], each: Each) -> Made:
    first = {one.blueprint.group_name: one.blueprint for one in making.values() if not one.blueprint.connector.is_mcp}

    def look() -> dict[str, list[ModelGroupDoc]]:
        found = hook.search_model_groups({"terms": {"name.keyword": sorted(first)}})
        return {name: [group for group in found if group.get("name") == name] for name in first}

    makers: dict[str, Maker[ModelGroupDoc]] = {
        name: Maker(
            partial(hook.create_model_group, bodies.model_group(blueprint)),
            lambda loser: hook.delete_model_group(loser["id"]),
        )
        for name, blueprint in first.items()
    }
    outcome = create_each_once(makers, look, each)
    # It knows why a group that nobody finds cannot be created.
    failed = [name for name, told in outcome.items() if isinstance(told, OpenSearchMLError)]
    outcome |= one_by_one({name: partial(_group_by_itself, hook, first[name]) for name in failed})
    return {
        name: one if one.blueprint.connector.is_mcp else _given(outcome[one.blueprint.group_name], one, "group_id")
        for name, one in making.items()
    }


def _group_by_itself(hook: OpenSearchMLHook, blueprint: Blueprint) -> tuple[ModelGroupDoc, bool]:
    return {"id": ensure_model_group(hook, blueprint).id}, False


def _with_models(hook: OpenSearchMLHook, making: Mapping[str, Making], each: Each) -> Made:
    kinds = {
        name: OneModel(hook, one.blueprint, one.group_id, one.connector_id, one.credential, one.supply)
        for name, one in making.items()
    }

    def look() -> dict[str, list[ModelDoc]]:
        names = sorted({one.blueprint.model_name for one in making.values()})
        models = hook.search_models({"terms": {"name.keyword": names}})
        connectors = [one for ones in _ours(hook, making).values() for one in ones]
        groups = hook.search_model_groups({"ids": {"values": sorted({one.group_id for one in making.values()})}})
        marked = frozenset(group["id"] for group in groups if GROUP_LABEL in (group.get("description") or ""))
        fleet = Fleet(connectors, models, hook.version, marked)
        return {name: fleet.models_of(one.blueprint) for name, one in making.items()}

    # Registers into one group collide, so a group's are made one after the other.
    by_group: dict[str, list[str]] = {}
    for name, one in making.items():
        by_group.setdefault(one.group_id, []).append(name)

    def in_turn(calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        turns = {group: {name: calls[name] for name in names if name in calls} for group, names in by_group.items()}
        results = each({group: partial(one_by_one, turn) for group, turn in turns.items() if turn})
        return {name: result for told in results.values() for name, result in told.items()}

    outcome = create_each_once(
        {name: Maker(kind.register, kind.discard) for name, kind in kinds.items()}, look, in_turn, looked=True
    )
    return {name: _given(outcome[name], one, "model_id") for name, one in making.items()}


def _ours(hook: OpenSearchMLHook, names: Iterable[str]) -> dict[str, list[ConnectorDoc]]:
    wanted = sorted(names)
    owner = {"term": {f"parameters.{canonical.LABEL_OWNER}": OWNER}}
    of_them = {"terms": {f"parameters.{canonical.LABEL_BLUEPRINT}": wanted}}
    found = hook.search_connectors({"bool": {"filter": [owner, of_them]}}) if wanted else []
    return {name: [one for one in found if one["parameters"][canonical.LABEL_BLUEPRINT] == name] for name in wanted}


def _given(told: tuple[Doc, bool] | Exception, one: Making, field: str) -> Making | Exception:
    return told if isinstance(told, Exception) else replace(one, **{field: str(told[0]["id"])})  # type: ignore[arg-type]
