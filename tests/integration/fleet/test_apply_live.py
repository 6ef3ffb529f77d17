"""Applying on a real server: each kind of change is mended, and a second plan has nothing left to do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.reconcile.approval import approved
from opensearch_ml.reconcile.results import Outcome
from tests.support.applies import apply_all, apply_plan, counts, outcomes
from tests.support.cluster import Cluster, connections
from tests.support.fleet_drifts import DRIFTS, another_model
from tests.support.fleet_world import World

pytestmark = pytest.mark.slow

MOST_SEARCHES = 10
PLAN_ONLY = ("broken file",)


def more(world: World, make_blueprint: Callable[..., Blueprint], *names: str, **changed: Any) -> None:
    for name in names:
        world.write(make_blueprint(name, **changed))


@pytest.mark.parametrize("drift", [name for name in DRIFTS if name not in PLAN_ONLY])
def test_each_drift_is_mended_and_a_second_plan_is_empty(world: World, drift: str) -> None:
    inject, expected = DRIFTS[drift]
    inject(world)
    world.until_searchable()
    plan = world.plan()
    assert [(one.kind, one.what) for one in plan.changes] == expected
    done = apply_plan(world, plan)
    assert set(outcomes(done).values()) == {"done"}
    world.until_searchable()
    assert world.plan().changes == ()
    assert set(outcomes(apply_plan(world, plan)).values()) == {"unchanged"}


def test_many_are_made_at_once_and_each_exactly_once(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster
) -> None:
    names = [f"model_1{number}" for number in range(8)]
    more(world, make_blueprint, *names)
    more(world, make_blueprint, "model_inside", inline=True)
    plan = world.plan()
    before = counts(cluster)
    world.sent.clear()
    done = apply_plan(world, plan)
    assert outcomes(done) == dict.fromkeys([*names, "model_inside"], "done")
    searches = [one for one in world.sent if one.startswith("search_")]
    print(f"{len(done)} made: {len(world.sent)} requests, {len(searches)} of them searches: {Counter(world.sent)}")
    assert len(searches) <= MOST_SEARCHES  # whatever the number of models
    assert all("answered" in one.told for one in done)
    assert all(world.ml("GET", f"models/{one.model_id}")["model_state"] == "DEPLOYED" for one in done)
    assert counts(cluster) == {
        "connectors": before["connectors"] + 8,
        "models": before["models"] + 9,
        "model_groups": before["model_groups"] + 9,
    }
    assert world.plan().changes == ()


def test_one_that_cannot_be_made_does_not_stop_nine(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster
) -> None:
    names = [f"model_1{number}" for number in range(10)]
    more(world, make_blueprint, *names)
    more(world, make_blueprint, "model_13", connector__actions__0__url="https://127.0.0.1:1/v1/embeddings")
    plan = world.plan()
    for stage in plan.stages()[1:]:  # without what is trusted
        done = outcomes(apply_all(world, approved(stage)))
    assert "does not trust" in done.pop("model_13")
    assert done == dict.fromkeys([name for name in names if name != "model_13"], "done")


def test_what_was_not_approved_is_not_done(world: World, cluster: Cluster) -> None:
    world.edit("model_1", another_model)
    plan = world.plan()
    [stage] = plan.stages()
    world.edit("model_1", lambda document: {**document, "model": {"description": "since then"}})
    before = cluster.writes()
    [done] = apply_all(world, approved(stage))
    assert done.outcome is Outcome.STALE
    assert cluster.writes() == before


def test_a_changed_key_is_swapped_for_all_that_use_it(world: World, endpoints: Any) -> None:
    endpoints.accept_keys({"openai": ["another"]})
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": "another"})):
        done = apply_plan(world, world.plan())
        assert outcomes(done) == dict.fromkeys(("inside", "model_1", "model_2"), "done")
        world.until_searchable()
        assert world.plan().changes == ()
