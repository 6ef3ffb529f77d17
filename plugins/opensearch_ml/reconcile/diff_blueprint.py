"""What would change for one blueprint: what it wants, held against what stands for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client import states
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.errors import OpenSearchMLError, skipped_checks
from opensearch_ml.reconcile import missing
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.resources import canonical, diff
from opensearch_ml.resources.changes import Change, Difference, Kind
from opensearch_ml.resources.inventory import Fleet
from opensearch_ml.resources.rotation_state import Move, RotationState, next_move, reasons
from opensearch_ml.rotation import failures

STUCK_S = 600.0  # the server gives up its own tasks after that: plugins.ml_commons.ml_task_timeout_in_seconds
DEAD_S = 300.0  # a rotation stirs every few seconds; the rest is what two clocks may differ by
NO_TOKEN = ""  # this run has made nothing
DONE = {Kind.CREATE: "created", Kind.ADOPT: "adopted"}
NAMED = re.compile(r"\Ablueprint \S+ ")


@dataclass(frozen=True)
class View:
    """What a blueprint is held against.

    :param serves: tells whether a connector with a mark needs no new credential; may raise.
    :param resolves: raises if a reference of the credential gives nothing. None: that is not looked at.
    :param role_lacks: returns what the IAM role lacks, None if it is missing; may raise. None: roles are not asked.
    :param adopt: ids of what others made, by blueprint.
    :param token: of the run that asks, as its canaries carry it: what it began itself does not keep it from going on.
    :param now_ms: the time, in milliseconds since the epoch.
    """

    fleet: Fleet
    serves: Callable[[Blueprint, str | None], bool]
    now_ms: int
    resolves: Callable[[Blueprint], object] | None = None
    role_lacks: Callable[[Blueprint], tuple[str, ...] | None] | None = None
    adopt: Mapping[str, str] = field(default_factory=dict)
    token: str = NO_TOKEN


def changes(wanted: Desired, view: View) -> Iterator[Change]:
    """Yield what is to be done and to be told for one blueprint; nothing if all is as it should be."""
    blueprint = wanted.blueprint
    if blueprint is None:
        told = "; ".join(f"{one.where}: {one.problem}" for one in wanted.findings) + skipped_checks(wanted.findings)
        yield Change(Kind.BROKEN, wanted.name, told, fix=" ".join(dict.fromkeys(one.fix for one in wanted.findings)))
        return
    yield from _role(blueprint, view)
    if blueprint.connector.is_mcp:
        yield from _without_model(blueprint, view)
        return
    found = view.fleet.rotation_state(blueprint)
    if found.model is None:
        yield _with_credential(missing.change(blueprint, view.fleet, view.adopt.get(blueprint.name)), blueprint, view)
        return
    if under_way := _under_way(blueprint, found, view):
        yield under_way
        return
    made = list(_connector(blueprint, found, view))
    yield from _fields(blueprint, found.model)
    yield from made
    # Who makes the connector anew deploys the model on it; on none it cannot be deployed.
    if found.live or not any(one.kind in (Kind.CREATE, Kind.BROKEN) for one in made):
        yield from _deployment(blueprint, found.model, view.now_ms)
    yield from _duplicates(blueprint, found, view.fleet)


def _role(blueprint: Blueprint, view: View) -> Iterator[Change]:
    role_arn = blueprint.connector.credential.get("roleArn")
    if view.role_lacks is None or not isinstance(role_arn, str):
        return
    try:
        lacks = view.role_lacks(blueprint)
    except OpenSearchMLError as error:
        yield _broken(blueprint, error)
        return
    if lacks is None:
        yield Change(Kind.ROLE, blueprint.name, f"role {role_arn} is missing")
    elif lacks:
        differences = tuple(Difference("iam_role", None, one) for one in lacks)
        yield Change(Kind.ROLE, blueprint.name, f"role {role_arn} lacks it", differences)


def _under_way(blueprint: Blueprint, found: RotationState, view: View) -> Change | None:
    """Tell who is at it; a rotation that has not stirred for long was killed, and is gone on with."""
    model = found.model or {}
    stirred = [int(one.get("last_updated_time") or 0) for one in view.fleet.canaries_of(blueprint.name)]
    stirred += [one.created_ms for one in found.candidates]
    if found.holder and found.holder != view.token and view.now_ms - max(stirred) < DEAD_S * 1000:
        return _blocked(blueprint, model, f"run {found.holder} rotates it", "nothing: the next run looks again")
    if model.get("model_state") in states.MODEL_DEPLOYING and _since_s(model, view.now_ms) < STUCK_S:
        return _blocked(blueprint, model, "it is being deployed", "nothing: the next run looks again")
    return None


def _fields(blueprint: Blueprint, model: ModelDoc) -> Iterator[Change]:
    if differences := diff.of_model(blueprint, model):
        yield Change(Kind.UPDATE, blueprint.name, "", differences, (str(model["id"]),))


def _connector(blueprint: Blueprint, found: RotationState, view: View) -> Iterator[Change]:
    model, live = found.model or {}, found.live
    models = (str(model.get("id")),)
    if live is None:
        yield _with_credential(missing.connector(blueprint, view.fleet, model), blueprint, view)
        return
    try:
        serves = view.serves(blueprint, live.mark)
    except OpenSearchMLError as error:
        yield _broken(blueprint, error)
        serves = True
    move = next_move(found, reasons(live, serves=serves, force=False, token=NO_TOKEN))
    if move is Move.REPLACE:
        held = view.fleet.serving_connector(model) or {}
        differences = diff.of_definition(blueprint, held, view.fleet.version) if live.differs else ()
        if not serves:
            differences = (*differences, diff.of_credential(live.mark))
        if refusal := failures.untestable(blueprint, found) or failures.cannot_be_put(blueprint, found):
            yield Change(Kind.BLOCKED, blueprint.name, refusal.cause, differences, models, fix=refusal.fix)
        else:
            why = "others made its connector, which is left to them" if live.others else ""
            yield Change(Kind.SWAP, blueprint.name, why, differences, models, (live.id,) if live.id else ())
    elif move is Move.FINISH:
        yield Change(Kind.SWAP, blueprint.name, "a rotation was killed after its switch, and is finished", (), models)
    elif move is Move.CLEAN:
        left = tuple(one.id for one in (*found.candidates, *found.retired))
        canaries = tuple(one.id for one in found.canaries)
        yield Change(Kind.CLEAN, blueprint.name, "a rotation left it behind", (), canaries, left)


def _deployment(blueprint: Blueprint, model: ModelDoc, now_ms: int) -> Iterator[Change]:
    state, models = str(model.get("model_state")), (str(model["id"]),)
    setting = blueprint.model.deploy_setting
    if state in states.MODEL_DEPLOYED:
        return
    if state == "UNDEPLOYED" and setting and (setting.model_ttl_minutes or 0) > 0:
        return  # the server does that itself, and deploys it when it is asked
    if state in states.MODEL_DEPLOYING:
        why = f"{state} for {_since_s(model, now_ms) / 60:.0f} min"
    elif state in states.MODEL_PARTIALLY_DEPLOYED:
        planned, current = model.get("planning_worker_node_count"), model.get("current_worker_node_count") or 0
        why = f"{state} on {current} of {planned} nodes" if planned else state
    elif state in states.MODEL_NOT_DEPLOYED | states.MODEL_DEPLOY_FAILED:
        why = state
    else:
        yield _blocked(blueprint, model, f"it is in state {state}, which nobody knows", f"look at model {models[0]}")
        return
    yield Change(Kind.REDEPLOY, blueprint.name, why, models=models)


def _duplicates(blueprint: Blueprint, found: RotationState, fleet: Fleet) -> Iterator[Change]:
    used = str((found.model or {}).get("id"))
    for model in fleet.models_of(blueprint)[1:]:
        yield Change(Kind.ORPHAN, blueprint.name, f"a second model; {used} serves", (), (str(model["id"]),))
    known = {one.id for one in (found.live, *found.candidates, *found.retired) if one}
    unused = [one["id"] for one in fleet.connectors_of(blueprint.name) if one["id"] not in known]
    if found.live and (spare := tuple(one for one in unused if not fleet.users(one))):
        yield Change(Kind.ORPHAN, blueprint.name, "a second connector, which no model uses", connectors=spare)


def _without_model(blueprint: Blueprint, view: View) -> Iterator[Change]:
    """An MCP connector is no model's, so it is never swapped: the provisioning makes it anew."""
    ours = view.fleet.connectors_of(blueprint.name)
    if not ours:
        yield _with_credential(missing.mcp(blueprint, view.fleet, view.adopt.get(blueprint.name)), blueprint, view)
        return
    first, *more = ours
    differences = diff.of_definition(blueprint, first, view.fleet.version)
    mark = (first.get("parameters") or {}).get(canonical.LABEL_CREDENTIAL)
    try:
        if not view.serves(blueprint, mark):
            differences = (*differences, diff.of_credential(mark))
    except OpenSearchMLError as error:
        yield _broken(blueprint, error)
    if differences:
        why = "an MCP connector is made anew, with another id"
        yield Change(Kind.UPDATE, blueprint.name, why, differences, connectors=(first["id"],))
    if more:
        spare = tuple(one["id"] for one in more)
        yield Change(Kind.ORPHAN, blueprint.name, f"a second connector; {first['id']} is older", connectors=spare)


def _with_credential(change: Change, blueprint: Blueprint, view: View) -> Change:
    """Return the change, or why it cannot be done: what is created or adopted needs what the references give."""
    taken_as_it_is = change.kind is Kind.ADOPT and blueprint.supplied  # its first swap brings a credential
    if view.resolves is None or change.kind not in DONE or taken_as_it_is:
        return change
    try:
        view.resolves(blueprint)
    except OpenSearchMLError as error:
        found = _broken(blueprint, error)
        return replace(change, kind=Kind.BROKEN, why=f"cannot be {DONE[change.kind]}: {found.why}", fix=found.fix)
    return change


def _since_s(model: ModelDoc, now_ms: int) -> float:
    return max(0.0, (now_ms - int(model.get("last_updated_time") or 0)) / 1000)


def _blocked(blueprint: Blueprint, model: ModelDoc, why: str, fix: str) -> Change:
    return Change(Kind.BLOCKED, blueprint.name, why, models=(str(model.get("id")),), fix=fix)


def _broken(blueprint: Blueprint, error: OpenSearchMLError) -> Change:
    # The change names the blueprint already: without its name, what several have in common is told once.
    cause = NAMED.sub("it ", error.cause)
    return Change(Kind.BROKEN, blueprint.name, ": ".join(filter(None, [cause, error.evidence])), fix=error.fix)
