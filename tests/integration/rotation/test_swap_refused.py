"""A candidate that is refused: production never meets it, nothing is left behind, and the reason is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

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
NEW_ONE = bearer_fingerprint(NEW)
HELLO = {"parameters": {"messages": [{"role": "user", "content": "Say hello."}]}}
TEXT = {"parameters": {"input": ["A short sentence."]}}


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "wrong": ({"status": 401}, {}, "refuses the connector's credential"),
    "throttled": ({"status": 429}, {}, "throttling"),
    "failing": ({"status": 503}, {}, "failing"),
    "slow": ({"delay_s": 0.6}, {"answer_s": 0.5}, "the candidate is too slow"),
    "slower than the connector waits": ({"delay_s": 1.5}, {}, "Read timed out"),
    "hung up on": ({"fault": "close"}, {}, "cannot reach the model's platform"),
    "answered with no JSON": ({"fault": "non_json"}, {}, "Invalid JSON"),
}


@pytest.mark.parametrize(
    ("inline", "bad"), [(False, list(BAD)), (True, ["wrong", "throttled"])], ids=["standalone", "internal"]
)
def test_a_bad_key_never_meets_production(
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    chat: Chat,
    source: Source,
    keys: ModelEndpoints,
    inline: bool,
    bad: list[str],
) -> None:
    blueprint = chat(inline=inline)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    with load(cluster36, model_id, HELLO, per_second=20) as seen:
        for behaviour, limits, words in (BAD[name] for name in bad):
            keys.behave(family="openai", fingerprint=NEW_ONE, **behaviour)
            with pytest.raises(RotationFailed, match=words) as refused:
                rotate(hook36, blueprint, source(), token="run-1", limits=replace(QUICK, **limits))
            assert "at step test" in refused.value.cause
            assert "the old one serves, and nothing is left behind" in refused.value.cause
            assert NEW not in str(refused.value)
            assert left(cluster36) == before
            assert source().calls[-3:] == ["recover", "next", "abandon"]
    assert seen.failed == []
    assert keys.counts_by_fingerprint()[NEW_ONE] <= len(bad)  # the canaries' own; who is hung up on may not count
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(OLD)}


def test_vectors_of_another_dimension_are_refused(
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    make_blueprint: Chat,
    source: Source,
    keys: ModelEndpoints,
) -> None:
    blueprint = make_blueprint()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    keys.behave(family="openai", fingerprint=NEW_ONE, dimension=100)
    with pytest.raises(RotationFailed, match="the candidate answers, but not what openai_embedding expects") as refused:
        rotate(hook36, blueprint, source(), token="run-1", limits=QUICK)
    assert "should have dimension 384 and has 100" in refused.value.evidence
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(OLD)}


@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_a_source_that_fails_leaves_the_old_key_serving(
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    chat: Chat,
    source: Source,
    keys: ModelEndpoints,
    inline: bool,
) -> None:
    blueprint = chat(inline=inline)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    for fails_at in ("recover", "next", "promote"):
        words = f"{fails_at} is refused; the old one serves, and nothing is left behind"
        with pytest.raises(RotationFailed, match=words):
            rotate(hook36, blueprint, source(fails_at=fails_at, known=OLD), token="run-1", limits=QUICK)
        assert left(cluster36) == before
        assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(OLD)}
    assert rotate(hook36, blueprint, source(), token="run-2", limits=QUICK).outcome == "rotated"


@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_a_key_that_stops_working_after_the_switch_is_taken_back(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool
) -> None:
    blueprint = chat(inline=inline)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)

    def refuse(step: Step, when: str) -> None:
        if (step, when) == (Step.SWITCH, "after"):
            keys.refuse_key(NEW_ONE)

    with pytest.raises(RotationFailed, match=r"at step prove.*the old one serves, and nothing is left") as refused:
        rotate(hook36, blueprint, source(known=OLD), token="run-1", limits=QUICK, on_step=refuse)
    assert "401" in refused.value.evidence
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(OLD)}
    assert source().calls == ["recover", "next", "abandon"]


def test_an_internal_connector_without_a_way_back_says_so_and_is_finished_later(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    blueprint = chat(inline=True)
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    with pytest.raises(RotationFailed, match=r"the model was switched.*there is no way back"):
        rotate(hook36, blueprint, source(fails_at="promote"), token="run-1", limits=QUICK)
    record = rotate(hook36, blueprint, source(), token="run-2", limits=QUICK)
    assert (record.outcome, record.why) == ("rotated", ("finished",))
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(NEW)}
    assert source().calls[-2:] == ["promote", "retire"]


def test_a_retirement_that_fails_is_made_up_for_by_the_next_run(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)
    with pytest.raises(RotationFailed, match=r"at step retire.*the new one serves, and the next run retires the old"):
        rotate(hook36, blueprint, source(fails_at="retire"), token="run-1", limits=QUICK)
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(NEW)}
    assert rotate(hook36, blueprint, source(), token="run-1", limits=QUICK).why == ("finished",)
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(NEW)}


def test_a_blueprint_without_a_test_is_not_swapped(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source
) -> None:
    blueprint = chat()
    provision(hook36, blueprint, {"openAI_key": OLD})
    before = cluster36.writes()
    untested = blueprint.model_copy(update={"smoke_test": None})
    with pytest.raises(RotationFailed, match="has no smoke_test"):
        rotate(hook36, untested, source(), token="run-1", limits=QUICK)
    assert cluster36.writes() == before


def test_there_is_nothing_to_rotate_before_the_provisioning(
    hook36: OpenSearchMLHook, chat: Chat, source: Source
) -> None:
    with pytest.raises(RotationFailed, match="has nothing to rotate") as raised:
        rotate(hook36, chat(), source(THIRD), token="run-1", limits=QUICK)
    assert "opensearch_ml_provision" in raised.value.fix
