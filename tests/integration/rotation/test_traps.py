"""What ML Commons silently does wrong (its facts, traps 1 to 8), and that a swap is not caught by it.

Each test fails if the handling that it names is taken away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import DeployFailed, InUse, RotationFailed
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation import prove
from opensearch_ml.rotation.read_state import canaries, read_rotation_state
from opensearch_ml.rotation.record import Journal, Step
from opensearch_ml.rotation.swap import rotate
from tests.support.cluster import Cluster
from tests.support.provisioning import provision
from tests.support.rotation_world import NEW, OLD, QUICK, Keys, keys_served, left

pytestmark = pytest.mark.slow  # make test-rotation

Source = Callable[..., Keys]
Chat = Callable[..., Blueprint]


def test_an_internal_connector_is_never_put_without_its_credential(
    cluster: Cluster, hook: OpenSearchMLHook, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    # Trap 1: the server would encrypt the encrypted one again, and send that.
    model_id = provision(hook, chat(inline=True), {"openAI_key": OLD})
    renamed = chat(inline=True, parameters={"model": "gpt-4o"})
    assert rotate(hook, renamed, source(OLD), token="run-1", limits=QUICK).why == ("parameters.model",)
    assert keys_served(keys, cluster, model_id) == {bearer_fingerprint(OLD)}
    with pytest.raises(RotationFailed, match="the old one serves"):
        rotate(hook, renamed, source(NEW, fails_at="promote", known=OLD), token="run-2", limits=QUICK)
    assert keys_served(keys, cluster, model_id) == {bearer_fingerprint(OLD)}  # the way back has it too


def test_an_internal_connectors_parameters_cannot_be_taken_away(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source
) -> None:
    # Trap 2: PUT merges, so the parameter would stay and be swapped for ever.
    two = {"model": "gpt-4o", "temperature": 1}
    provision(hook36, chat(inline=True, parameters=two), {"openAI_key": OLD})
    before = cluster36.writes()
    with pytest.raises(RotationFailed, match="whose parameters cannot be taken away") as refused:
        rotate(hook36, chat(inline=True, parameters={"model": "gpt-4o"}), source(OLD), token="run-1", limits=QUICK)
    assert "temperature" in refused.value.evidence
    assert cluster36.writes() == before


def test_a_standalone_connectors_parameters_can(hook36: OpenSearchMLHook, chat: Chat, source: Source) -> None:
    # Trap 2: a new connector holds nothing of the old one.
    provision(hook36, chat(parameters={"model": "gpt-4o", "temperature": 1}), {"openAI_key": OLD})
    record = rotate(hook36, chat(parameters={"model": "gpt-4o"}), source(OLD), token="run-1", limits=QUICK)
    assert record.why == ("parameters.temperature",)
    made = hook36.get_connector(record.new_connector)
    assert made is not None
    assert "temperature" not in made["parameters"]


def test_a_credential_that_lacks_a_key_is_not_merged_into_a_candidate(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source
) -> None:
    # Trap 2: what the candidate had in the key's place would stay.
    both = {"openAI_key": {"conn_id": "openai_default"}, "organisation": {"conn_id": "openai_default"}}
    action = chat().connector.actions[0].model_dump(exclude_unset=True)
    headers = {**action["headers"], "OpenAI-Organization": "${credential.organisation}"}
    blueprint = chat(credential=both, actions=[{**action, "headers": headers}])
    provision(hook36, blueprint, {"openAI_key": OLD, "organisation": "o"})
    before = left(cluster36)
    with pytest.raises(RotationFailed, match="lacks organisation"):
        rotate(hook36, blueprint, source(), token="run-1", limits=QUICK)
    assert left(cluster36) == before


def test_a_model_is_never_switched_to_a_connector_that_is_gone(
    hook: OpenSearchMLHook, cluster: Cluster, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    # Trap 3: the server takes any id, and the model breaks at its next deployment.
    blueprint = chat()
    model_id = provision(hook, blueprint, {"openAI_key": OLD})
    live = cluster.get(f"/_plugins/_ml/models/{model_id}")["connector_id"]

    def delete_the_candidate(step: Step, when: str) -> None:
        if (step, when) == (Step.SWITCH, "before"):
            canary = canaries(hook, blueprint.name)[0]
            hook.update_model(canary["id"], {"connector_id": live})
            time.sleep(1.5)  # 2.19 finds an update a second later, and takes the connector for used until then
            hook.delete_connector(canary["connector_id"])

    with pytest.raises(RotationFailed, match="is gone; nothing was switched; the old one serves"):
        rotate(hook, blueprint, source(), token="run-1", limits=QUICK, on_step=delete_the_candidate)
    assert cluster.get(f"/_plugins/_ml/models/{model_id}")["connector_id"] == live
    assert keys_served(keys, cluster, model_id) == {bearer_fingerprint(OLD)}


def test_a_canary_that_does_not_deploy_refuses_the_candidate(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    # Trap 5: _deploy answers COMPLETED also when it fails; only the task and the model tell.
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)

    def break_the_canary(step: Step, when: str) -> None:
        if (step, when) == (Step.DEPLOY, "before"):
            hook36.update_model(canaries(hook36, blueprint.name)[0]["id"], {"connector_id": "does-not-exist"})

    with pytest.raises(RotationFailed, match=r"at step deploy: .* the old one serves, and nothing is left") as refused:
        rotate(hook36, blueprint, source(), token="run-1", limits=QUICK, on_step=break_the_canary)
    assert "Failed to find connector" in refused.value.evidence
    assert left(cluster36) == before
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(OLD)}


def test_an_old_connector_that_the_server_takes_for_used_is_told_and_collected_later(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trap 7: ids with a hyphen collide, and DELETE answers a false 409.
    blueprint = chat()
    provision(hook36, blueprint, {"openAI_key": OLD})
    before = left(cluster36)

    def false_409(connector_id: str) -> None:
        raise InUse("in use", evidence="1 models are still using this connector", fix="")

    with monkeypatch.context() as patch:
        patch.setattr(hook36, "delete_connector", false_409)
        record = rotate(hook36, blueprint, source(), token="run-1", limits=QUICK)
    assert any(record.old_connector in told and "a later run tries again" in told for told in record.details)
    assert left(cluster36) == before | {"connectors": 2}
    assert rotate(hook36, blueprint, source(), token="run-2", limits=QUICK).outcome == "unchanged"
    assert left(cluster36) == before


def test_no_candidate_keeps_an_id_with_a_hyphen(
    hook36: OpenSearchMLHook, chat: Chat, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trap 7: one id in four has one; here the first that the server gives is said to have one.
    blueprint = chat()
    provision(hook36, blueprint, {"openAI_key": OLD})
    create, made = hook36.create_connector, []

    def create_with_hyphen_first(body: dict[str, Any]) -> str:
        made.append(create(body))
        return Hyphenated(made[0]) if len(made) == 1 else made[-1]

    monkeypatch.setattr(hook36, "create_connector", create_with_hyphen_first)
    record = rotate(hook36, blueprint, source(), token="run-1", limits=QUICK)
    assert record.new_connector != made[0]
    assert hook36.get_connector(made[0]) is None


@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_a_candidate_that_the_server_takes_for_used_makes_room_for_another(
    hook: OpenSearchMLHook,
    cluster: Cluster,
    chat: Chat,
    source: Source,
    keys: ModelEndpoints,
    inline: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Trap 7: the same check refuses the PUT of the credential, and the DELETE of what nobody could write.
    blueprint = chat(inline=inline)
    model_id = provision(hook, blueprint, {"openAI_key": OLD})
    with colliding(hook, chat()) as collide:
        before = left(cluster)
        record = rotate(hook, blueprint, source(), token="run-1", limits=QUICK, on_step=collide)
        assert record.outcome == "rotated"
        assert keys_served(keys, cluster, model_id) == {bearer_fingerprint(NEW)}
        assert "cannot be written, another takes its place" in caplog.text
        assert any("a later run tries again" in told for told in record.details)
    assert rotate(hook, blueprint, source(), token="run-2", limits=QUICK).outcome == "unchanged"
    assert left(cluster) == before


def test_a_run_that_is_killed_between_two_candidates_is_taken_up(
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    chat: Chat,
    source: Source,
    keys: ModelEndpoints,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with colliding(hook36, chat()) as collide:
        before = left(cluster36)
        with monkeypatch.context() as patch:
            patch.setattr("opensearch_ml.rotation.candidate.point_canary", killed)
            with pytest.raises(KeyboardInterrupt):
                rotate(hook36, blueprint, source(), token="run-1", limits=QUICK, on_step=collide)
        assert left(cluster36) == before | {"connectors": before["connectors"] + 2, "models": before["models"] + 1}
        again = source()
        assert rotate(hook36, blueprint, again, token="run-2", limits=QUICK).outcome == "rotated"
        assert again.calls.count("next") == 1  # by the first run: the second goes on with its candidate
    assert keys_served(keys, cluster36, model_id) == {bearer_fingerprint(NEW)}
    assert rotate(hook36, blueprint, source(), token="run-3", limits=QUICK).outcome == "unchanged"
    assert left(cluster36) == before


@contextmanager
def colliding(hook: OpenSearchMLHook, blueprint: Blueprint) -> Iterator[Journal]:
    """Another model's connector has an id of which the candidate's is a part, until the block ends."""
    blocker = provision(hook, blueprint.model_copy(update={"name": "blocker"}), {"openAI_key": OLD})

    def point_to(connector_id: str) -> None:
        hook.update_model(blocker, {"connector_id": connector_id})
        time.sleep(1.5)  # 2.19 finds an update a second later

    def collide(step: Step, when: str) -> None:
        if (step, when) == (Step.RECOVER, "before"):
            point_to(f"{read_rotation_state(hook, blueprint).candidates[0].id}-x")

    yield collide
    point_to("does-not-exist")


class Hyphenated(str):
    """An id that says that it contains a hyphen."""

    def __contains__(self, part: object) -> bool:
        return part == "-" or super().__contains__(str(part))


def test_the_canary_is_in_the_models_own_group(
    hook36: OpenSearchMLHook, cluster36: Cluster, chat: Chat, source: Source
) -> None:
    # Trap 8: without a group the server makes a public one, which nobody would ever remove.
    blueprint = chat()
    model_id = provision(hook36, blueprint, {"openAI_key": OLD})
    groups: list[str] = []

    def look_at_the_canary(step: Step, when: str) -> None:
        if (step, when) == (Step.TEST, "before"):
            groups.extend(canary["model_group_id"] for canary in canaries(hook36, blueprint.name))

    rotate(hook36, blueprint, source(), token="run-1", limits=QUICK, on_step=look_at_the_canary)
    assert groups == [cluster36.get(f"/_plugins/_ml/models/{model_id}")["model_group_id"]]
    assert left(cluster36)["model_groups"] == 1


def test_the_predictor_tells_when_a_node_has_switched_and_nothing_else_changes_it(
    hook: OpenSearchMLHook, cluster: Cluster, chat: Chat, keys: ModelEndpoints
) -> None:
    # The switch answers before it is done: what the proof relies on is the server's own word, as measured.
    model_id = provision(hook, chat(), {"openAI_key": OLD})
    live = read_rotation_state(hook, chat()).live
    assert live is not None
    before = hook.predictors(model_id)
    assert len(before) == 1
    hook.update_model(model_id, {"description": "another one"})
    assert hook.predictors(model_id) == before
    hook.update_model(model_id, {"connector_id": "does-not-exist"})
    assert hook.predictors(model_id) == before
    hook.update_model(model_id, {"connector_id": live.id})
    assert prove.until_every_node_serves(hook, model_id, before, timeout_s=10) == 1
    assert hook.predictors(model_id) != before


def test_a_switch_that_no_node_has_made_is_not_taken_for_done(
    hook: OpenSearchMLHook, cluster: Cluster, chat: Chat, keys: ModelEndpoints
) -> None:
    # The server answers 200 here too, and its node goes on with the old connector; as one does that has yet to switch.
    model_id = provision(hook, chat(), {"openAI_key": OLD})
    before = hook.predictors(model_id)
    hook.update_model(model_id, {"connector_id": "does-not-exist"})
    with pytest.raises(DeployFailed, match="1 of 1 nodes still serve the old connector") as refused:
        prove.until_every_node_serves(hook, model_id, before, timeout_s=1)
    assert next(iter(before)) in refused.value.evidence
    assert keys_served(keys, cluster, model_id) == {bearer_fingerprint(OLD)}
