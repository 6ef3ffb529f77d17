"""Roles are derived from what stands in the cluster, and the next move from the roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.resources import canonical
from opensearch_ml.resources import rotation_state as situations
from opensearch_ml.resources.rotation_state import (
    CLAIMED,
    Move,
    RotationState,
    derive_rotation_state,
    next_move,
    reasons,
)
from tests.support.fleets import internal
from tests.support.rotation_cases import VERSION, blueprint, connector


def canary(on: str, description: str = situations.held_by("run-1", "ab12", 3)) -> ModelDoc:
    return {"id": "canary", "connector_id": on, "description": description}


def model(on: str) -> ModelDoc:
    return {"id": "model", "connector_id": on}


def look(found: ModelDoc | None, *connectors: ConnectorDoc, canaries: tuple[ModelDoc, ...] = ()) -> RotationState:
    return derive_rotation_state(blueprint(), found, connectors, canaries, VERSION)


def names(connectors: tuple[situations.Connector, ...]) -> list[str]:
    return [one.id for one in connectors]


def test_what_the_model_uses_is_live_what_is_newer_a_candidate_and_what_is_older_retired() -> None:
    seen = look(model("B"), connector("A", 1), connector("B", 2, run="r"), connector("C", 3, run="s"))
    assert seen.live is not None
    assert (seen.live.id, names(seen.retired), names(seen.candidates)) == ("B", ["A"], ["C"])


def test_a_newer_connector_of_the_provisioning_is_no_rotations_business() -> None:
    seen = look(model("A"), connector("A", 1), connector("B", 2))
    assert (seen.candidates, seen.retired) == ((), ())


def test_of_two_made_in_one_millisecond_one_is_older() -> None:
    seen = look(model("A"), connector("A", 1, run="r"), connector("B", 1, run="s"))
    assert names(seen.candidates) == ["B"]


def test_a_model_on_a_connector_that_is_not_ours_has_none_live() -> None:
    assert look(model("theirs"), connector("A", 1)).live is None
    assert look(None, connector("A", 1)).live is None


def test_definition_and_credential_are_told_apart() -> None:
    live = look(model("A"), {**connector("A", 1), "name": "other"}).live
    assert live is not None
    assert reasons(live, serves=True, force=False, token="t") == ("name",)
    assert reasons(live, serves=False, force=True, token="t") == ("name", "credential")


def test_force_is_satisfied_by_what_the_run_itself_has_made() -> None:
    live = look(model("A"), connector("A", 1, run="t")).live
    assert live is not None
    assert reasons(live, serves=True, force=True, token="t") == ()
    assert reasons(live, serves=True, force=True, token="another") == ("forced",)


@pytest.mark.parametrize(
    ("seen", "why", "move"),
    [
        (look(model("A"), connector("A", 1)), (), Move.NOTHING),
        (look(model("A"), connector("A", 1)), ("credential",), Move.REPLACE),
        (look(model("A"), connector("A", 1), connector("B", 2, run="r")), (), Move.CLEAN),
        (look(model("A"), connector("A", 1), connector("B", 2, run="r"), canaries=(canary("B"),)), (), Move.CLEAN),
        (look(model("B"), connector("A", 1), connector("B", 2, run="r")), (), Move.CLEAN),
        (look(model("B"), connector("A", 1), connector("B", 2, run="r"), canaries=(canary("B"),)), (), Move.FINISH),
        (look(model("B"), connector("B", 2, run="r"), canaries=(canary("B"),)), (), Move.FINISH),
        (look(model("B"), connector("B", 2, run="r"), canaries=(canary("B"),)), ("name",), Move.REPLACE),
    ],
    ids=[
        "all is right",
        "the credential is not",
        "killed before its canary",
        "killed before the switch",
        "a false 409 kept the old one",
        "killed after the switch",
        "killed after the old one was deleted",
        "killed after the switch, and changed since",
    ],
)
def test_the_next_move(seen: RotationState, why: tuple[str, ...], move: Move) -> None:
    assert next_move(seen, why) is move


class TestInternal:
    @staticmethod
    def look(live_mark: str, *connectors: ConnectorDoc, canaries: tuple[ModelDoc, ...] = ()) -> RotationState:
        inside = internal(connector("", 0, mark=live_mark))
        return derive_rotation_state(
            blueprint(inline=True), {"id": "m", "connector": inside}, connectors, canaries, VERSION
        )

    def test_the_one_inside_the_model_is_live(self) -> None:
        seen = self.look("m1", connector("B", 2, run="r", mark="m2"))
        assert seen.live is not None
        assert (seen.live.id, seen.live.mark, names(seen.candidates)) == ("", "m1", ["B"])

    def test_a_candidate_with_its_mark_tells_that_it_was_switched(self) -> None:
        assert self.look("m2", connector("B", 2, run="r", mark="m2"), canaries=(canary("B"),)).switched
        assert not self.look("m1", connector("B", 2, run="r", mark="m2"), canaries=(canary("B"),)).switched

    def test_the_candidate_remembers_what_it_replaces(self) -> None:
        marks = {canonical.LABEL_REPLACES: "m1"}
        assert self.look("m2", connector("B", 2, run="r", mark="m2", **marks)).candidates[0].replaces == "m1"


def test_the_canary_says_who_rotates_and_before_it_the_candidate_does() -> None:
    candidate = connector("B", 2, run="run-0", mark=CLAIMED)
    assert look(model("A"), connector("A", 1)).holder is None
    assert look(model("A"), connector("A", 1), candidate).holder == "run-0"
    assert look(model("A"), connector("A", 1), candidate, canaries=(canary("B"),)).holder == "run-1"


@pytest.mark.parametrize("token", ["dag/manual__2026-11-21T00:00:00+00:00/rotate/3", "a; b\n<c>", ""])
def test_a_token_comes_back_out_of_a_description(token: str) -> None:
    told = situations.tellable(token)
    held = look(model("B"), connector("B", 1), canaries=(canary("B", situations.held_by(told, "0f", 12)),)).canaries[0]
    assert (held.token, held.process, held.beat) == (told, "0f", 12)


def test_a_canary_that_says_nothing_is_nobodys() -> None:
    assert look(model("B"), connector("B", 1), canaries=(canary("B", ""),)).holder == ""


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({}, 30.0),
        ({"read_timeout": 4}, 4.0),
        ({"read_timeout": 4, "max_retry_times": 2, "retry_timeout_seconds": 10}, 14.0),
        ({"read_timeout": 4, "max_retry_times": 0, "retry_timeout_seconds": 10}, 4.0),
    ],
)
def test_a_call_in_flight_takes_as_long_as_its_time_outs_say(config: dict[str, Any], seconds: float) -> None:
    live = look(model("A"), {**connector("A", 1), "client_config": config}).live
    assert live is not None
    assert live.in_flight_s == seconds


def test_marks_of_a_rotation_are_no_difference() -> None:
    marks: Callable[..., ConnectorDoc] = connector
    live = look(model("A"), marks("A", 1, run="r", **{canonical.LABEL_REPLACES: "x", canonical.LABEL_KEYS: "key"})).live
    assert live is not None
    assert live.differs == ()
