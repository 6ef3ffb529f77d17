"""Killed in the middle of applying a hundred, through a real scheduler: it converges, exactly, and all are told of.

Nobody who asks other models notices that a scheduler or a worker dies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from local.airflow_standalone import DagRun
from local.stack import Stack
from tests.support.cluster import Cluster
from tests.support.fleet_of_hundred import (
    COUNT,
    EMBEDDING,
    EXACT,
    INLINE,
    STANDING,
    TARGET,
    Hundred,
    kill_all,
    scheduler_and_workers,
    task_and_watcher,
)
from tests.support.rotation_world import Load
from tests.support.scheduler_runs import PARSED_ONCE, state_of, told

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # make test-fleets

BEGUN = 40  # models are registered when somebody dies: none is deployed, or a few
HEALTHY_S = 300.0
# What Airflow waits for, 20 s where it waits for minutes by itself: docs/fleets.md has the table.
SOON = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",  # on a machine that has much else to do
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hundred]:
    """The stack, with a target that names a hundred blueprints."""
    folder = tmp_path_factory.mktemp("killed")
    for name in ("blueprints", "targets"):
        (folder / name).mkdir()
    for number in range(COUNT):
        inline = "\ninline: true\n" if number % INLINE == INLINE - 1 else ""
        (folder / "blueprints" / f"model_{number:03}.yaml").write_text(EMBEDDING.read_text() + inline)
    target: dict[str, Any] = {"opensearch_conn_id": "opensearch_default", "pool": "fleet", "blueprints": ["model_*"]}
    path = folder / "targets" / f"{TARGET}.yaml"
    path.write_text(yaml.safe_dump(target))  # read with the DAG's file; the variables are known once the stack is up
    environment = {"AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER": str(folder / "blueprints"), **PARSED_ONCE, **SOON}
    stack = Stack(folder, environment=environment)
    try:
        stack.up()
        target["variables"] = yaml.safe_load((folder / "targets" / "local.yaml").read_text())["variables"]
        target["settings"] = {"private_ip_enabled": True}
        path.write_text(yaml.safe_dump(target))
        made = Hundred(stack, Cluster(stack.opensearch, stack.version))
        made.let_others_in()
        yield made
    finally:
        stack.reset()


@pytest.fixture
def hundred(started: Hundred) -> Iterator[Hundred]:
    """The same, with nothing of the fleet on the cluster."""
    yield started
    started.give_up()  # there is a run only if the test has failed
    started.clear()


def test_a_worker_that_dies_is_replaced_by_one_that_goes_on_where_it_stopped(hundred: Hundred) -> None:
    with hundred.traffic() as asked:
        run = hundred.begin()
        hundred.until_made(BEGUN)
        dies = next(one for one in batches(run) if one["state"] == "running")
        killed = time.monotonic()
        assert kill_all(partial(task_and_watcher, hundred.airflow, dies["id"])) == 2
        tell("worker", hundred, killed)
        assert run.wait() == "success", told(run, "fleet.summary")
        tell("worker", hundred, killed, run)
    assert {one["map_index"] for one in batches(run) if one["try_number"] == 2} == {dies["map_index"]}
    nobody_noticed(asked)
    stands_and_is_told_of_once(hundred)


def test_a_scheduler_that_dies_with_its_workers_takes_the_run_up_again_once_it_is_back(hundred: Hundred) -> None:
    with hundred.traffic() as asked:
        run = hundred.begin()
        hundred.until_made(BEGUN)
        killed = schedulers_death(hundred)
        run = hundred.known(run)
        assert run.wait() == "success", told(run, "fleet.summary")
        tell("scheduler", hundred, killed, run)
    assert max(one["try_number"] for one in batches(run)) > 1
    nobody_noticed(asked)
    stands_and_is_told_of_once(hundred)


def test_what_a_run_made_that_never_came_back_the_next_one_finishes_and_tells_of(hundred: Hundred) -> None:
    run = hundred.begin()
    hundred.until_made(BEGUN, "DEPLOYED")  # the next plan finds nothing to do about these
    killed = schedulers_death(hundred)
    hundred.give_up()
    assert hundred.known(run).state == "failed"
    assert hundred.told() == {}
    following = hundred.begin()
    assert following.wait() == "success", told(following, "fleet.summary")
    tell("scheduler, and the run given up", hundred, killed, following)
    assert "that an earlier run changed, and ended before it told of them" in told(following, f"{TARGET}.plan")
    stands_and_is_told_of_once(hundred)


def test_a_node_that_dies_fails_what_it_was_asked_for_and_the_next_run_makes_it(hundred: Hundred) -> None:
    opensearch = hundred.stack.opensearch
    run = hundred.begin()
    hundred.until_made(BEGUN)
    killed = time.monotonic()
    opensearch.kill_node(1)
    opensearch.start_node(1)
    opensearch.wait_until_healthy(HEALTHY_S)
    tell("node", hundred, killed)
    ended = run.wait()
    tell("node", hundred, killed, run)
    summary = told(run, "fleet.summary")
    assert ended == "success" or "fix: " in summary, summary
    following = hundred.begin()
    assert following.wait() == "success", told(following, "fleet.summary")
    tell("node", hundred, killed, following)
    stands_and_is_told_of_once(hundred, or_more=True)  # what had to be deployed again has changed once more


def nobody_noticed(asked: list[Load]) -> None:
    """Every model was asked all the time, and answered."""
    assert len(asked) == STANDING
    assert all(one.answers for one in asked)
    assert [one.failed[:3] for one in asked] == [[]] * STANDING


def batches(run: DagRun) -> list[dict[str, Any]]:
    """The mapped tasks."""
    return [one for one in run.tasks() if one["task_id"] == f"{TARGET}.apply"]


def schedulers_death(hundred: Hundred) -> float:
    """Kill the scheduler with all below it, start Airflow again, and return when it was."""
    killed = time.monotonic()
    assert kill_all(partial(scheduler_and_workers, hundred.airflow)) > 2
    tell("scheduler", hundred, killed)
    hundred.airflow.stop()
    hundred.stack.up()
    return killed


def stands_and_is_told_of_once(hundred: Hundred, *, or_more: bool = False) -> None:
    """Exactly what is wanted stands, somebody was told of each, and another run finds nothing to do."""
    assert hundred.counts() == EXACT
    assert hundred.states() == {"DEPLOYED": COUNT}
    said = hundred.told()
    assert len(said) == COUNT
    assert or_more or set(said.values()) == {1}
    again = hundred.begin()
    assert again.wait() == "success"
    assert f"No changes: {COUNT} blueprints, all as they should be" in told(again, f"{TARGET}.plan")
    assert [state_of(again, f"{TARGET}.{task}") for task in ("approve", "announce")] == ["skipped"] * 2


def tell(who: str, hundred: Hundred, since: float, run: DagRun | None = None) -> None:
    """Print the figures of a kill."""
    told = f"{run.run_id} {run.state} {report(run)}" if run else "left"
    print(f"\n{who}: {time.monotonic() - since:.0f} s: {told} {hundred.counts()} {hundred.states()}", flush=True)


def report(run: DagRun) -> list[tuple[int, str]]:
    """Tries and states of the batches."""
    return [(one["try_number"], one["state"]) for one in batches(run)]
