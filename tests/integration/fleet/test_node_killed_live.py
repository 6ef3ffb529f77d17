"""A node of OpenSearch is killed in the middle of applying a hundred: the run tells it, and the next one converges."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from local.opensearch import OpenSearchCluster
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.results import Applied, Outcome
from tests.support.applies import apply_all, apply_plan, counts, planned_creations, with_creations
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.fleet_world import World

T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

COUNT = 100
HEALTHY_S = 300.0  # a start takes ten seconds on a machine that has nothing else to do
CONVERGED_S = 300.0
NONE = {"connectors": 0, "models": 0, "model_groups": 0}


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory.mktemp("one-node"), nodes=1)


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from _started(tmp_path_factory.mktemp("two-nodes"), nodes=2)


def _started(home: Path, nodes: int) -> Iterator[Cluster]:
    opensearch = OpenSearchCluster(home, nodes=nodes, preferred_port=0, heap="768m")
    try:
        opensearch.start()
        opensearch.wait_until_healthy(HEALTHY_S)
        yield Cluster(opensearch, opensearch.version)
    finally:
        opensearch.delete()


@contextmanager
def world_on(cluster: Cluster, folder: Path, *, asks: int) -> Iterator[World]:
    """An empty target; `asks` says which node the product talks to."""
    cluster.clean()
    for name in ("blueprints", "targets"):
        (folder / name).mkdir(parents=True)
    (folder / "targets" / "t.yaml").write_text("blueprints: [model_*]\nsettings: {private_ip_enabled: true}\n")
    url = str(cluster.opensearch.nodes[asks - 1].url)
    search = json.dumps({**json.loads(cluster.connection()), "port": int(url.rpartition(":")[2])})
    key = json.dumps({"conn_type": "generic", "password": OPENAI_KEY})
    with connections(opensearch_default=search, openai_default=key):
        yield World(folder, cluster, [])


@pytest.mark.parametrize(
    ("call", "times"),
    [
        pytest.param("create_connector", 40, id="connectors"),
        pytest.param("register_model", 50, id="models"),
        pytest.param("deploy_model", 40, id="deployments"),
    ],
)
def test_what_the_only_node_took_with_it_the_next_run_makes_and_no_more(
    one_node: Cluster,
    tmp_path: Path,
    make_blueprint: Callable[..., Blueprint],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    times: int,
) -> None:
    with world_on(one_node, tmp_path / "fleet", asks=1) as world:
        dies_and_converges(world, make_blueprint, monkeypatch, call, times, dies=1)


@pytest.mark.parametrize(
    ("asks", "dies"),
    [
        pytest.param(1, 1, id="the one that is asked, which leads"),
        pytest.param(2, 2, id="the one that is asked"),
        pytest.param(1, 2, id="the other one"),
    ],
)
def test_what_one_of_two_nodes_took_with_it_the_next_run_makes_and_no_more(
    two_nodes: Cluster,
    tmp_path: Path,
    make_blueprint: Callable[..., Blueprint],
    monkeypatch: pytest.MonkeyPatch,
    asks: int,
    dies: int,
) -> None:
    with world_on(two_nodes, tmp_path / "fleet", asks=asks) as world:
        dies_and_converges(world, make_blueprint, monkeypatch, "register_model", 60, dies=dies)


def dies_and_converges(
    world: World,
    make_blueprint: Callable[..., Blueprint],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    times: int,
    *,
    dies: int,
) -> None:
    """Kill a node after so many calls of a kind, start it again while the run goes on, and run until it converges."""
    opensearch = world.cluster.opensearch
    ones = planned_creations(world, make_blueprint, COUNT)
    with ThreadPoolExecutor(1) as beside:
        killed = _kill_after(monkeypatch, call, times, lambda: opensearch.kill_node(dies))
        run = beside.submit(apply_all, world, ones)
        while not killed and not run.done():
            time.sleep(0.05)
        assert killed, run.result()
        opensearch.start_node(dies)
        opensearch.wait_until_healthy(HEALTHY_S)
        back_s = time.monotonic() - killed[0]
        first = run.result()
    tells_well(first)
    left, ended_s = counts(world.cluster), time.monotonic() - killed[0]
    runs = until_converged(world)
    took_s = time.monotonic() - killed[0]
    assert counts(world.cluster) == with_creations(NONE, COUNT)
    assert {one["model_state"] for one in world.cluster.search("models")} == {"DEPLOYED"}
    names = Counter(one["name"] for one in world.cluster.search("model_groups"))
    assert set(names.values()) == {1}
    print(
        f"\n{call} {times}, node {dies} of {len(opensearch.nodes)}: back {back_s:.0f} s later; the run ended after "
        f"{ended_s:.0f} s: {Counter(one.outcome.value for one in first)}, and left {left}; "
        f"converged after {took_s:.0f} s by {runs}"
    )


def _kill_after(monkeypatch: pytest.MonkeyPatch, name: str, times: int, kill: Callable[[], None]) -> list[float]:
    """Kill once, after so many calls of a kind; returns where the time of it will be."""
    send, left, killed = OpenSearchMLHook._send, [1] * times, list[float]()

    def count(hook: OpenSearchMLHook, call: Callable[..., T], arguments: dict[str, Any]) -> T:
        answer = send(hook, call, arguments)
        if call.__name__ == name and left:
            left.pop()
            if not left:
                kill()
                killed.append(time.monotonic())
        return answer

    monkeypatch.setattr(OpenSearchMLHook, "_send", count)
    return killed


def tells_well(done: list[Applied]) -> None:
    """Whoever failed says why and what to do, in words of ours."""
    failed = [one for one in done if one.outcome is Outcome.FAILED]
    assert {one.outcome for one in done} <= {Outcome.DONE, Outcome.FAILED}
    assert [one.told for one in failed if "; fix: " not in one.told or "nobody foresaw" in one.told] == []


def until_converged(world: World) -> list[dict[str, int]]:
    """Plan and apply until a plan finds nothing; returns what each of these runs did.

    The server deploys again by itself what a node had before it died: that is waited for, and is no failure.
    """
    runs: list[dict[str, int]] = []
    until = time.monotonic() + CONVERGED_S
    while (plan := world.plan()).changes:
        assert time.monotonic() < until, plan.changes
        done = apply_plan(world, plan, token=f"run-{len(runs) + 2}")
        runs.append(dict(Counter(one.outcome.value for one in done) or {"blocked": len(plan.changes)}))
        assert [one.told for one in done if one.outcome is Outcome.FAILED] == []
        world.until_searchable()
    return runs
