"""What would change where something of a blueprint is not there, or is somebody else's: create, or adopt."""

from __future__ import annotations

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.resources import adoption, canonical, diff
from opensearch_ml.resources.adoption import Adopted
from opensearch_ml.resources.changes import Change, Difference, Kind
from opensearch_ml.resources.inventory import Fleet

UNREADABLE = "not readable"
AS_REFERRED = "taken to be what the references give"
REPLACED = "replaced by one of its source"


def change(blueprint: Blueprint, fleet: Fleet, adopt: str | None) -> Change:
    """Return what is to be done for a blueprint that has no model of ours.

    :param adopt: the id of the model that is to become its model, if the target names one.
    """
    name = blueprint.name
    if adopt:
        named = fleet.model(adopt)
        return _adopt(blueprint, fleet, named) if named else _not_there(name, f"model {adopt}")
    others = fleet.strangers(blueprint.model_name)
    if len(others) > 1:
        ids = ", ".join(str(one["id"]) for one in others)
        fix = f"name one in the target, such as adopt: {{{name}: {others[0]['id']}}}, or give the blueprint another "
        return Change(
            Kind.BLOCKED,
            name,
            f"{len(others)} models that are not ours have its name {blueprint.model_name}",
            models=tuple(str(one["id"]) for one in others),
            fix=f"{fix}model.name; they are {ids}",
        )
    if others:
        return _adopt(blueprint, fleet, others[0])
    made = tuple(str(one["id"]) for one in fleet.connectors_of(name))
    why = f"connector {made[0]} is there, its model is not" if made else "it has no model here"
    return Change(Kind.CREATE, name, why, connectors=made)


def connector(blueprint: Blueprint, fleet: Fleet, model: ModelDoc) -> Change:
    """Return what is to be done for a model of ours that uses no connector of ours."""
    name, model_id = blueprint.name, str(model.get("id"))
    if mismatch := _other_kind(blueprint, model):
        return Change(
            Kind.BLOCKED, name, mismatch, models=(model_id,), fix=f"{_set_inline(model)}, or tear it down first"
        )
    used = str(model.get("connector_id"))
    why = f"its connector {used} is " + ("not ours" if fleet.connector(used) else "gone")
    made = [one for one in fleet.connectors_of(name) if canonical.LABEL_RUN not in (one.get("parameters") or {})]
    if not made:
        return Change(Kind.CREATE, name, why, (Difference("connector_id", used, "a new one"),), (model_id,))
    ours = str(made[0]["id"])
    return Change(Kind.UPDATE, name, why, (Difference("connector_id", used, ours),), (model_id,), (ours,))


def mcp(blueprint: Blueprint, fleet: Fleet, adopt: str | None) -> Change:
    """Return what is to be done for an MCP blueprint that has no connector of ours."""
    name = blueprint.name
    if not adopt:
        return Change(Kind.CREATE, name, "it has no connector here")
    held = fleet.connector(adopt)
    if held is None:
        return _not_there(name, f"connector {adopt}")
    marked = adoption.as_ours(held, Adopted(name))
    differences = (*diff.of_definition(blueprint, marked, fleet.version), _credential(blueprint))
    return Change(Kind.ADOPT, name, "others made its connector", differences, connectors=(adopt,))


def _adopt(blueprint: Blueprint, fleet: Fleet, model: ModelDoc) -> Change:
    name, model_id = blueprint.name, str(model["id"])
    if mismatch := _other_kind(blueprint, model):
        return Change(
            Kind.BLOCKED,
            name,
            f"model {model_id} is not ours, and {mismatch}",
            models=(model_id,),
            fix=_set_inline(model),
        )
    if owner := fleet.owner(model):
        return Change(
            Kind.BLOCKED, name, f"model {model_id} is blueprint {owner}'s", models=(model_id,), fix="adopt another"
        )
    held = fleet.connector_in(model)
    if held is None:
        return Change(
            Kind.ADOPT, name, f"others made it; its connector {model.get('connector_id')} is gone", (), (model_id,)
        )
    marked = adoption.as_ours(held, Adopted(name))
    differences = (
        *diff.of_definition(blueprint, marked, fleet.version),
        *diff.of_model(blueprint, model),
        _credential(blueprint),
    )
    used = (str(model["connector_id"]),) if model.get("connector_id") else ()
    return Change(Kind.ADOPT, name, "others made it", differences, (model_id,), used)


def _credential(blueprint: Blueprint) -> Difference:
    return Difference("credential", UNREADABLE, REPLACED if blueprint.supplied else AS_REFERRED)


def _other_kind(blueprint: Blueprint, model: ModelDoc) -> str:
    """Tell that one has an internal connector and the other a standalone one, which no request changes."""
    if bool(model.get("connector")) == blueprint.inline:
        return ""
    kinds = ("an internal", "a standalone")
    has, wants = kinds if model.get("connector") else kinds[::-1]
    return f"has {has} connector, where the blueprint has {wants} one"


def _set_inline(model: ModelDoc) -> str:
    return f"write `inline: {str(bool(model.get('connector'))).lower()}` into the blueprint"


def _not_there(name: str, what: str) -> Change:
    fix = f"correct adopt.{name} in the target; the id may be another cluster's"
    return Change(Kind.BROKEN, name, f"the target adopts {what}, which is not there", fix=fix)
