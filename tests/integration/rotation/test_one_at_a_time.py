"""One rotation of a model at a time, and a provisioning run that overlaps with one keeps its hands off."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import InUse
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.rotation_state import held_by
from opensearch_ml.rotation.read_state import canaries, read_rotation_state
from opensearch_ml.rotation.record import RotationRecord, Step
from opensearch_ml.rotation.swap import rotate
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.model import ensure_model
from tests.support.cluster import Cluster
from tests.support.provisioning import provision
from tests.support.rotation_world import NEW, OLD, QUICK, Keys, keys_served, left
from tests.support.threads import at_once

pytestmark = pytest.mark.slow  # make test-rotation

Source = Callable[..., Keys]
Chat = Callable[..., Blueprint]


@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_of_runs_that_start_together_one_rotates_and_the_others_say_so(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool
) -> None:
    blueprint = chat(inline=inline)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    names = iter(["one", "two", "three"])

    def run() -> RotationRecord:
        return rotate(OpenSearchMLHook(), blueprint, source(), token=next(names), limits=QUICK)

    records = at_once(3, run)
    assert Counter(record.outcome for record in records) == {"rotated": 1, "busy": 2}
    assert all("rotates it" in record.details[-1] for record in records if record.outcome == "busy")
    assert source().calls.count("next") == 1
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(NEW)}


def test_a_run_that_works_long_is_not_taken_for_dead(
    hook36: OpenSearchMLHook, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    blueprint = chat()
    provision(hook36, blueprint, {"openAI_key": OLD})
    deployed, records = threading.Event(), []

    def linger(step: Step, when: str) -> None:
        if (step, when) == (Step.DEPLOY, "after"):
            deployed.set()
            time.sleep(2 * QUICK.lease_s)  # a source or a platform may take its time

    def run() -> None:
        records.append(rotate(OpenSearchMLHook(), blueprint, source(), token="slow", limits=QUICK, on_step=linger))

    slow = threading.Thread(target=run)
    slow.start()
    deployed.wait(60)
    other = rotate(hook36, blueprint, source(), token="other", limits=QUICK)
    slow.join()
    assert (other.outcome, other.details) == ("busy", ("run slow rotates it",))
    assert records[0].outcome == "rotated"


def test_a_run_that_lost_its_lease_writes_nothing_any_more(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    live = cluster36.get(f"/_plugins/_ml/models/{model_id}")["connector_id"]

    def take_over(step: Step, when: str) -> None:
        if (step, when) == (Step.SWITCH, "before"):
            hook36.update_model(canaries(hook36, blueprint.name)[0]["id"], {"description": held_by("other", "ff", 1)})

    record = rotate(hook36, blueprint, source(), token="run-1", limits=QUICK, on_step=take_over)
    assert (record.outcome, record.details) == ("busy", ("run other rotates it",))
    assert cluster36.get(f"/_plugins/_ml/models/{model_id}")["connector_id"] == live
    assert len(canaries(hook36, blueprint.name)) == 1  # the other's now
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(OLD)}


def test_a_provisioning_run_takes_no_candidate_and_deletes_no_way_back(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source
) -> None:
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    live, model = read_rotation_state(hook36, blueprint).live, hook36.get_model(model_id)
    assert live is not None
    assert model is not None
    old, group_id = live.id, model["model_group_id"]
    seen: list[Step] = []

    def provision_too(step: Step, when: str) -> None:
        if when == "before":
            return
        switched = list(Step).index(step) >= list(Step).index(Step.SWITCH)
        if not switched:
            with pytest.raises(InUse) as refused:  # the connection has the new key already
                ensure_connector(hook36, blueprint, {"openAI_key": NEW})
            assert "opensearch_ml_rotate_credentials" in refused.value.fix
        elif step is not Step.SWITCH:  # a search may be a moment behind the switch itself
            assert ensure_connector(hook36, blueprint, {"openAI_key": NEW}).action == "unchanged"
            # Its first task ran before the switch, this one after it.
            told = ensure_model(hook36, blueprint, model_group_id=group_id, connector_id=old)
            assert told.action == "unchanged"
            if list(Step).index(step) < list(Step).index(Step.DELETE_OLD):
                assert hook36.get_connector(old) is not None
        seen.append(step)

    record = rotate(hook36, blueprint, source(), token="run-1", limits=QUICK, on_step=provision_too)
    assert record.outcome == "rotated"
    assert Step.TEST in seen
    assert Step.GRACE in seen
