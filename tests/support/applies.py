"""What the tests of applying work with: a plan approved whole and applied stage by stage, as the DAG does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.apply import apply_stage
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import Approved, approved
from opensearch_ml.reconcile.results import Applied
from opensearch_ml.resources.changes import Plan
from tests.support.cluster import Cluster
from tests.support.fleet_world import World

AT_ONCE = 4
RUN = "run-1"


def applying(world: World, *, token: str = RUN, conn_id: str = "opensearch_default") -> ApplyContext:
    """By a hook of its own, as each task has one."""
    target, _ = world.catalog.fleet("t")
    return ApplyContext(OpenSearchMLHook(conn_id), world.catalog, target, None, None, token)


def apply_plan(world: World, plan: Plan, *, token: str = RUN, conn_id: str = "opensearch_default") -> list[Applied]:
    """Apply every stage of a plan, orphans too."""
    done: list[Applied] = []
    for stage in plan.stages():
        done += apply_all(world, approved(stage), token=token, conn_id=conn_id)
    return done


def apply_all(
    world: World, ones: Sequence[Approved], *, token: str = RUN, conn_id: str = "opensearch_default"
) -> list[Applied]:
    """Apply one stage."""
    told: list[tuple[str, int, int]] = []
    told_by = applying(world, token=token, conn_id=conn_id)
    done = apply_stage(told_by, ones, at_once=AT_ONCE, on_done=lambda one, n, of: told.append((one.what, n, of)))
    assert [one.what for one in done] == [one.what for one in ones]
    assert [n for _, n, _ in told] == list(range(1, len(ones) + 1))
    return done


def outcomes(done: Sequence[Applied]) -> dict[str, str]:
    return {one.what: one.outcome.value if one.outcome.value != "failed" else one.told for one in done}


def counts(cluster: Cluster) -> dict[str, int]:
    """How many objects there are."""
    return {kind: len(cluster.search(kind)) for kind in ("connectors", "models", "model_groups")}


def planned_creations(world: World, make_blueprint: Callable[..., Blueprint], count: int) -> list[Approved]:
    """Write blueprints, every fifth with its connector inside, and plan; all but the creations is applied."""
    first = make_blueprint("model_x000")
    for number in range(count):
        world.write(first.model_copy(update={"name": f"model_x{number:03}", "inline": number % 5 == 4}))
    plan = world.plan()
    for stage in plan.stages()[:-1]:
        apply_all(world, approved(stage))
    return approved(plan.stages()[-1])


def with_creations(before: dict[str, int], count: int) -> dict[str, int]:
    """How many objects there are, once so many of these creations are applied."""
    made = {"connectors": count - count // 5, "models": count, "model_groups": count}
    return {kind: before[kind] + made[kind] for kind in before}
