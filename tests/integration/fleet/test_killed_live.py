"""Who applies is killed in the middle of many creations, at random and at chosen moments: the next run converges."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.approval import Approved
from tests.support.applies import apply_all, apply_plan, counts, outcomes, planned_creations, with_creations
from tests.support.cluster import Cluster
from tests.support.fleet_world import World

T = TypeVar("T")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

WRITES = ("create_connector", "register_model_group", "register_model", "deploy_model", "predict_model")


def run_and_kill(world: World, ones: list[Approved], *, after: tuple[str, int] | None = None, at_s: float = 0) -> bool:
    """Apply in a process of its own, which is killed after so many calls of a kind, or after some seconds."""
    child = os.fork()
    if child == 0:
        try:
            if after:
                _kill_after(*after)
            apply_all(world, ones)
        except BaseException:
            os._exit(1)
        os._exit(0)
    if not after:
        time.sleep(at_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _kill_after(name: str, times: int) -> None:
    send, left = OpenSearchMLHook._send, [1] * times

    def count(hook: OpenSearchMLHook, call: Callable[..., T], arguments: dict[str, Any]) -> T:
        answer = send(hook, call, arguments)
        if call.__name__ == name:
            left.pop()
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return answer

    pytest.MonkeyPatch().setattr(OpenSearchMLHook, "_send", count)  # for good: this process is to be killed


def start_again(world: World, before: dict[str, int], cluster: Cluster) -> None:
    for path in (world.folder / "blueprints").glob("model_x*.yaml"):
        path.unlink()
    world.until_searchable()
    assert set(outcomes(apply_plan(world, world.plan())).values()) <= {"done"}
    assert counts(cluster) == before


def converges(world: World, cluster: Cluster, ones: list[Approved], token: str) -> None:
    for _ in range(3):  # as a retry does; a model that is being deployed is busy for anybody else
        done = outcomes(apply_all(world, ones, token=token))
        if "busy" not in done.values():
            break
        cluster.writes()  # waits until it is deployed
    assert set(done.values()) <= {"done", "unchanged"}, done


@pytest.mark.parametrize("count", [20, 100])
def test_the_next_run_makes_exactly_what_a_killed_one_did_not(
    world: World, make_blueprint: Callable[..., Blueprint], count: int
) -> None:
    cluster = world.cluster
    before = counts(cluster)
    chosen = [(name, times) for name in WRITES for times in (1, count // 2)]
    moments: list[tuple[tuple[str, int] | None, float]]
    moments = [(one, 0.0) for one in chosen] if count == 20 else [(("register_model", 50), 0.0)]
    moments += [(None, random.uniform(0.3, count / 10)) for _ in range(5 if count == 20 else 2)]  # noqa: S311
    for number, (after, at_s) in enumerate(moments):
        ones = planned_creations(world, make_blueprint, count)
        started = time.monotonic()
        killed = run_and_kill(world, ones, after=after, at_s=at_s)
        assert killed, (after, at_s)
        left = counts(cluster)
        converges(world, cluster, ones, "run-1" if number % 2 else "run-2")
        assert counts(cluster) == with_creations(before, count), (after, at_s)
        world.until_searchable()
        assert world.plan().changes == (), (after, at_s)
        print(f"{count}: killed at {after or f'{at_s:.1f} s'}: {left}; converged {time.monotonic() - started:.1f} s")
        start_again(world, before, cluster)
