"""Several runs at the same time, a cluster that takes no more, and models of others, which are asked all the time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.approval import approved
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Kind
from opensearch_ml.rotation.sources import source_for
from opensearch_ml.rotation.swap import rotate
from opensearch_ml.steps.connector import delete_connectors, ensure_connector
from opensearch_ml.steps.deployment import undeploy as undeploy_step
from opensearch_ml.steps.model import delete_models, ensure_model, ensure_model_group
from tests.support.applies import apply_all, apply_plan, counts, outcomes
from tests.support.cluster import Cluster, connections
from tests.support.fault_proxy import FaultProxy
from tests.support.fleet_drifts import another_model, foreign_body, quick
from tests.support.fleet_world import World
from tests.support.provisioning import CREDENTIAL
from tests.support.rotation_world import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

QUESTION = {"parameters": {"input": ["Say hello."]}}


@pytest.fixture
def proxy(world: World) -> Iterator[FaultProxy]:
    proxy = FaultProxy(world.cluster)
    with connections(opensearch_proxied=proxy.connection):
        yield proxy
    proxy.close()


def test_two_runs_and_a_rotation_at_once_make_nothing_twice(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster
) -> None:
    world.edit("model_1", quick)
    world.edit("model_1", another_model)
    for number in range(6):
        world.write(make_blueprint(f"model_x{number}"))
    before = counts(cluster)
    plan = world.plan()
    results: dict[str, Any] = {}

    def run(token: str) -> None:
        results[token] = outcomes(
            [one for stage in plan.stages() for one in apply_all(world, approved(stage), token=token)]
        )

    def rotation() -> None:
        hook, blueprint = OpenSearchMLHook(), world.catalog.blueprint("model_1")
        results["rotation"] = rotate(hook, blueprint, source_for(blueprint, hook), token="rotation").outcome

    works = [threading.Thread(target=run, args=("run-1",)), threading.Thread(target=run, args=("run-2",))]
    works.append(threading.Thread(target=rotation))
    for work in works:
        work.start()
    for work in works:
        work.join(600)
        assert not work.is_alive()
    for token in ("run-1", "run-2"):
        assert set(results[token].values()) <= {"done", "unchanged", "busy"}, results
    assert counts(cluster) == {kind: number + 6 for kind, number in before.items()}, results
    world.until_searchable()
    assert world.plan().changes == ()
    rotated = [results["rotation"], *(results[token]["model_1"] for token in ("run-1", "run-2"))]
    assert sum(one in ("rotated", "done") for one in rotated) >= 1, results


def test_refusals_slow_a_run_down_and_do_not_fail_it(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster, proxy: FaultProxy
) -> None:
    for number in range(6):
        world.write(make_blueprint(f"model_x{number}"))
    numbers = iter(range(10_000))
    with proxy.refusing(lambda line: "/_ml/" in line and next(numbers) % 5 == 4):
        done = apply_plan(world, world.plan(), conn_id="opensearch_proxied")
    assert outcomes(done) == {f"model_x{number}": "done" for number in range(6)}
    assert next(numbers) > 30
    assert world.plan().changes == ()


def by_hand(world: World, name: str, *, inline: bool) -> str:
    """A deployed model, made by plain API calls."""
    body = foreign_body(world, name)
    if inline:
        uses = {"connector": body}
    else:
        uses = {"connector_id": world.ml("POST", "connectors/_create", body)["connector_id"]}
    model = {"name": name, "function_name": "remote", "description": "By hand", **uses}
    world.models[name] = world.ml("POST", "models/_register?deploy=true", model)["model_id"]
    world.cluster.writes()  # waits until it is deployed
    return world.models[name]


@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_a_model_made_by_hand_is_adopted_and_swapped_and_no_predict_is_lost(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster, inline: bool
) -> None:
    name = "model_hand"
    world.write(make_blueprint(name, inline=inline, model__description="By hand"))
    world.edit(name, quick)
    model_id = by_hand(world, name, inline=inline)
    theirs = [
        one["id"] for one in cluster.search("connectors") if one["name"] == world.catalog.blueprint(name).connector.name
    ]
    before, predictors = counts(cluster), world.predictors(model_id)
    with load(cluster, model_id, QUESTION, per_second=20) as seen:
        done = apply_plan(world, world.plan())
        assert outcomes(done) == {name: "done"}
        assert world.predictors(model_id) == predictors
        assert world.plan().changes == ()
        assert counts(cluster) == before

        # The provisioning makes nothing for it, and refuses nothing.
        hook, blueprint = OpenSearchMLHook(), world.catalog.blueprint(name)
        writes = cluster.writes()
        connector_id = None if inline else ensure_connector(hook, blueprint, CREDENTIAL).id
        group_id = ensure_model_group(hook, blueprint).id
        told = ensure_model(hook, blueprint, model_group_id=group_id, connector_id=connector_id, credential=CREDENTIAL)
        assert (told.id, told.action) == (model_id, "unchanged")
        assert cluster.writes() == writes

        # Nor does a teardown take away what others made: the mark goes, and nothing else.
        assert undeploy_step(hook, blueprint).action == "left"
        assert delete_models(hook, blueprint).action == "updated"
        assert delete_connectors(hook, name).action == "unchanged"
        assert world.ml("GET", f"models/{model_id}")["description"] == "By hand"
        assert counts(cluster) == before
        world.until_searchable()
        assert outcomes(apply_plan(world, world.plan())) == {name: "done"}

        # A changed definition is swapped to a connector of ours; theirs stays as it is.
        world.edit(name, another_model)
        plan = world.plan()
        assert [one.kind for one in plan.changes] == [Kind.SWAP]
        assert outcomes(apply_plan(world, plan)) == {name: "done"}
        world.until_searchable()
        assert world.plan().changes == ()
    assert seen.failed == []
    assert adoption.read(world.ml("GET", f"models/{model_id}")) is None
    assert set(theirs) <= {one["id"] for one in cluster.search("connectors")}
    assert counts(cluster) == {**before, "connectors": before["connectors"] + (not inline)}


def test_what_was_adopted_and_is_wanted_no_more_is_left_to_whoever_made_it(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster
) -> None:
    world.write(make_blueprint("model_hand", model__description="By hand"))
    model_id = by_hand(world, "model_hand", inline=False)
    before = counts(cluster)
    assert outcomes(apply_plan(world, world.plan())) == {"model_hand": "done"}
    (world.folder / "blueprints/model_hand.yaml").unlink()
    plan = world.plan()
    assert [one.kind for one in plan.changes] == [Kind.ORPHAN]
    assert "stays" in plan.changes[0].why
    assert outcomes(apply_plan(world, plan)) == {"model_hand": "done"}
    world.until_searchable()
    assert counts(cluster) == before
    assert world.ml("GET", f"models/{model_id}")["model_state"] == "DEPLOYED"
    assert world.plan().changes == ()
    assert json.dumps(world.ml("GET", f"models/{model_id}")).count("managed by") == 0
