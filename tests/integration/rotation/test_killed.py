"""Killed at every step boundary, then run again: it converges, and a valid key served at every instant.

The boundaries are those of `Step` itself: a step that is added is killed here without a change of this file.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import RotationFailed
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import Step
from opensearch_ml.rotation.swap import rotate
from tests.support.cluster import Cluster
from tests.support.provisioning import provision
from tests.support.rotation_world import NEW, OLD, QUICK, THIRD, Keys, keys_served, left, load

pytestmark = pytest.mark.slow  # make test-rotation

Source = Callable[..., Keys]
Chat = Callable[..., Blueprint]
HELLO = {"parameters": {"messages": [{"role": "user", "content": "Say hello."}]}}
ONLY_ON_FAILURE = {Step.BACK, Step.PROVE_BACK, Step.ABANDON}
BOUNDARIES = [(step, when) for step in Step for when in ("before", "after")]
BETWEEN = [at for at in BOUNDARIES if at[1] == "before"]  # after a step is before the next one, but for the last
SHORT = replace(QUICK, grace_s=0.0, grace_max_s=0.1, lease_s=1.0)


def run_and_kill(blueprint: Blueprint, source: Keys, at: tuple[Step, str], token: str) -> bool:
    """Rotate in a process of its own, which is killed at a boundary; tell whether it was."""
    child = os.fork()
    if child == 0:

        def kill(step: Step, when: str) -> None:
            if (step, when) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            rotate(OpenSearchMLHook(), blueprint, source, token=token, limits=SHORT, on_step=kill)
        except RotationFailed:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    ("inline", "boundaries"),
    [
        pytest.param(False, BETWEEN, id="standalone"),
        pytest.param(False, BOUNDARIES, id="standalone-all"),
        pytest.param(True, BOUNDARIES, id="internal-all"),
    ],
)
def test_a_rotation_killed_at_any_step_is_completed_by_the_next_run(
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    chat: Chat,
    source: Source,
    keys: ModelEndpoints,
    inline: bool,
    boundaries: list[tuple[Step, str]],
) -> None:
    blueprint = chat(inline=inline)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    served = OLD
    with load(cluster36, model_id, HELLO, per_second=20) as seen:
        for number, at in enumerate(boundaries):
            wanted = source(NEW if served == OLD else OLD, known=served)
            retired = wanted.calls.count("retire")
            killed = run_and_kill(blueprint, wanted, at, token=f"killed-{number}")
            assert killed is (at[0] not in ONLY_ON_FAILURE), at
            # A retry of the same run goes on at once; another run finds out first that nobody lives.
            token = f"killed-{number}" if number % 6 else "another"
            rotate(hook36, blueprint, wanted, token=token, limits=SHORT)
            served = wanted.wanted
            assert left(cluster36) == before, at
            assert keys_served(keys, cluster36, model_id, 2) == {bearer_fingerprint(served)}, at
            assert wanted.calls.count("retire") > retired, at
    assert seen.failed == []


@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_a_rotation_killed_while_it_goes_back_is_undone_by_the_next_run(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool
) -> None:
    blueprint = chat(inline=inline)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    undoing = [at for at in BOUNDARIES if list(Step).index(at[0]) >= list(Step).index(Step.BACK)]
    with load(cluster36, model_id, HELLO, per_second=20) as seen:
        for number, at in enumerate(undoing):
            refused = source(fails_at="promote", known=OLD)
            assert run_and_kill(blueprint, refused, at, token="run-1"), at
            # The old key is wanted again, as when a person takes a wrong value back.
            rotate(hook36, blueprint, source(OLD, known=NEW), token="run-1" if number % 5 else "other", limits=SHORT)
            assert left(cluster36) == before, at
            assert keys_served(keys, cluster36, model_id, 2) == {bearer_fingerprint(OLD)}, at
    assert seen.failed == []


def test_what_a_killed_run_left_for_another_key_is_not_used(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    assert run_and_kill(blueprint, source(NEW), (Step.TEST, "after"), token="run-1")
    keys.forget_requests()
    rotate(hook36, blueprint, source(THIRD), token="run-1", limits=SHORT)
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(THIRD)}
    assert bearer_fingerprint(NEW) not in keys.counts_by_fingerprint()


def test_a_resumed_run_waits_only_the_rest_of_the_grace(hook36: OpenSearchMLHook, chat: Chat, source: Source) -> None:
    blueprint = chat(read_timeout=6)
    provision(hook36, blueprint, {"openAI_key": OLD})
    assert run_and_kill(blueprint, source(), (Step.GRACE, "before"), token="run-1")
    time.sleep(2)  # the time that passes until somebody runs it again
    record = rotate(hook36, blueprint, source(), token="run-1", limits=replace(SHORT, grace_max_s=60))
    waited_s = next(one.seconds for one in record.steps if one.step == Step.GRACE.value)
    assert 1.0 < waited_s < 4.5
