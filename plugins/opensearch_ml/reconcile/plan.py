"""The plan: what a target wants, held against what stands on its cluster. A pure function; nothing is asked or written.

Whether a credential is there and serves, and what an IAM role lacks, only others can tell: these are given as
functions, and what they cannot tell is told of that blueprint alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.reconcile import diff_blueprint, diff_settings
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan, in_order
from opensearch_ml.resources.inventory import Cluster, Fleet


def plan(
    target: Target,
    wanted: Iterable[Desired],
    cluster: Cluster,
    *,
    serves: Callable[[Blueprint, str | None], bool],
    now_ms: int,
    resolves: Callable[[Blueprint], object] | None = None,
    role_lacks: Callable[[Blueprint], tuple[str, ...] | None] | None = None,
    token: str = diff_blueprint.NO_TOKEN,
) -> Plan:
    """Return what would change on a cluster.

    :param wanted: all blueprints of the target, in any order; one with findings is told and keeps its model.
    :param serves: tells whether a connector with a mark needs no new credential, see `CredentialSource.serves`.
    :param now_ms: the time, in milliseconds since the epoch: tells who is at work from who was killed.
    :param resolves: raises if a reference of the credential gives nothing; asked before something is created or
        adopted. None: that is not looked at.
    :param role_lacks: `iam.ensure_role.what_lacks` of a blueprint's role; None: roles are not looked at.
    :param token: of the run that asks, as `diff_blueprint.View` has it.
    """
    named = sorted(wanted, key=lambda one: one.name)
    view = diff_blueprint.View(
        cluster.fleet, serves, now_ms, resolves=resolves, role_lacks=role_lacks, adopt=target.adopt, token=token
    )
    blueprints = [one.blueprint for one in named if one.blueprint]
    changes = [
        *diff_settings.changes(target, blueprints, cluster),
        *(change for one in named for change in diff_blueprint.changes(one, view)),
        *_orphans(cluster.fleet, {one.name for one in named}),
        *(_lost(cluster.fleet, blueprints) if len(blueprints) == len(named) else ()),  # a broken file may want one
    ]
    concerned = {change.what for change in changes if change.kind is not Kind.SETTINGS}
    return Plan(
        target=target.name,
        wanted=len(named),
        changes=in_order(changes),
        unchanged=tuple(one.name for one in named if one.name not in concerned),
        standing=sum(bool(cluster.fleet.models_of(blueprint)) for blueprint in blueprints),
        unseen=cluster.unseen,
    )


def _orphans(fleet: Fleet, wanted: set[str]) -> Iterator[Change]:
    for name, (models, connectors) in fleet.orphans(wanted).items():
        adopted = [one for one in models if fleet.is_others(one)]
        for model in adopted:
            before = str(model.get("description"))
            mark = Difference("model.description", before, adoption.plain(before))
            why = f"no blueprint of that name lives here; model {model['id']} was adopted: it loses our mark, and stays"
            yield Change(Kind.ORPHAN, name, why, (mark,), (str(model["id"]),))
        ours = {str(one["id"]) for one in [*models, *fleet.canaries_of(name)] if one not in adopted}
        users = {str(one["id"]): {str(user["id"]) for user in fleet.users(one["id"])} for one in connectors}
        free = tuple(one for one in users if users[one] <= ours)
        others = sorted(set().union(*users.values()) - ours)
        why = "no blueprint of that name lives here"
        if others:
            why += f"; its connector stays, because model {', '.join(others)} uses it, which is not ours"
        if ours or free:
            yield Change(Kind.ORPHAN, name, why, (), tuple(sorted(ours)), free)


def _lost(fleet: Fleet, blueprints: Iterable[Blueprint]) -> Iterator[Change]:
    for model in fleet.lost({one.model_name for one in blueprints}):
        why = f"its connector {model.get('connector_id')} is gone, and no blueprint here wants a model of that name"
        yield Change(Kind.ORPHAN, str(model.get("name")), why, (), (str(model["id"]),))
