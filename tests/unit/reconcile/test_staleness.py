"""What was approved is done as far as it stands still: what a killed try began too, and nothing that has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.results import Outcome
from opensearch_ml.reconcile.staleness import decide
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan

SWAP = Change(Kind.SWAP, "chat", differences=(Difference("parameters.model", "small", "large"),))
UPDATE = Change(Kind.UPDATE, "chat", differences=(Difference("model.description", None, "new"),))
REDEPLOY = Change(Kind.REDEPLOY, "chat", "UNDEPLOYED", models=("m",))
CREATE = Change(Kind.CREATE, "chat")
ORPHAN = Change(Kind.ORPHAN, "old", models=("m1", "m2"), connectors=("c1",))
BLOCKED = Change(Kind.BLOCKED, "chat", "it is being deployed", models=("m",), fix="nothing")


def planned(*changes: Change) -> Plan:
    return Plan("t", 1, changes, ())


def test_what_was_approved_is_done_in_order() -> None:
    assert decide(Approved.of([UPDATE, SWAP]), planned(UPDATE, SWAP), {"id": "m"}).changes == (UPDATE, SWAP)


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(replace(SWAP, differences=(Difference("parameters.model", "small", "huge"),)), id="other value"),
        pytest.param(replace(SWAP, differences=(*SWAP.differences, Difference("name", "a", "b"))), id="one more"),
        pytest.param(REDEPLOY, id="other kind"),
        pytest.param(Change(Kind.ADOPT, "chat", models=("m",)), id="adopt"),
    ],
)
def test_what_has_changed_since_it_was_approved_is_stale(now: Change) -> None:
    assert decide(Approved.of([SWAP]), planned(now), {"id": "m"}).outcome is Outcome.STALE


def test_one_stale_change_keeps_the_others_of_the_same_blueprint() -> None:
    assert decide(Approved.of([SWAP]), planned(UPDATE, SWAP), {"id": "m"}).outcome is Outcome.STALE


def test_another_model_than_the_one_that_was_shown_is_not_adopted() -> None:
    shown, now = (Change(Kind.ADOPT, "chat", models=(one,)) for one in ("m1", "m2"))
    assert decide(Approved.of([shown]), planned(now), None).outcome is Outcome.STALE


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(CREATE, REDEPLOY, id="registered, not deployed"),
        pytest.param(CREATE, replace(CREATE, connectors=("c",)), id="connector made"),
        pytest.param(
            CREATE,
            Change(Kind.UPDATE, "chat", differences=(Difference("connector_id", "gone", "c"),)),
            id="connector made, the model not given it",
        ),
        pytest.param(SWAP, Change(Kind.SWAP, "chat", "killed after its switch"), id="switched"),
        pytest.param(ORPHAN, replace(ORPHAN, models=("m2",)), id="one model deleted"),
        pytest.param(ORPHAN, replace(ORPHAN, models=()), id="models deleted"),
    ],
)
def test_what_a_killed_try_has_begun_is_gone_on_with(before: Change, now: Change) -> None:
    assert decide(Approved.of([before]), planned(now), {"id": "m"}).changes == (now,)


def test_more_than_was_shown_is_not_deleted() -> None:
    now = replace(ORPHAN, models=("m1", "m2", "m3"))
    assert decide(Approved.of([ORPHAN]), planned(now), None).outcome is Outcome.STALE


def test_a_deployment_that_a_killed_try_began_is_waited_for_and_any_other_is_not() -> None:
    deploying: ModelDoc = {"id": "m", "model_state": "DEPLOYING"}
    assert [one.kind for one in decide(Approved.of([CREATE]), planned(BLOCKED), deploying).changes] == [Kind.REDEPLOY]
    assert decide(Approved.of([SWAP]), planned(BLOCKED), deploying).outcome is Outcome.BUSY


def test_a_file_that_has_findings_by_now_has_failed_and_says_what_to_do() -> None:
    decision = decide(Approved.of([SWAP]), planned(Change(Kind.BROKEN, "chat", "no URL", fix="write one")), None)
    assert (decision.outcome, decision.told) == (Outcome.FAILED, "no URL; fix: write one")


def test_what_cannot_be_done_keeps_the_rest_of_a_blueprint_from_nothing() -> None:
    blocked = Change(Kind.BLOCKED, "chat", "it has no smoke_test", fix="write one")
    assert decide(Approved.of([UPDATE]), planned(UPDATE, blocked), {"id": "m"}).changes == (UPDATE,)
    assert decide(Approved.of([SWAP]), planned(blocked), {"id": "m"}).outcome is Outcome.BUSY


def test_nothing_left_to_do_is_unchanged_and_what_was_to_be_made_is_asked() -> None:
    assert decide(Approved.of([SWAP]), planned(), {"id": "m"}).ask is False
    asked = decide(Approved.of([CREATE]), planned(), {"id": "m"})
    assert (asked.outcome, asked.ask) == (Outcome.UNCHANGED, True)


def test_an_adoption_that_was_done_leaves_the_rest_to_the_next_plan() -> None:
    adopt = Change(Kind.ADOPT, "chat", models=("m",))
    assert decide(Approved.of([adopt]), planned(SWAP), {"id": "m"}).outcome is Outcome.UNCHANGED


def test_changes_of_another_stage_are_left_to_it() -> None:
    duplicate = Change(Kind.ORPHAN, "chat", models=("m9",))
    assert decide(Approved.of([SWAP]), planned(SWAP, duplicate), None).changes == (SWAP,)
    assert decide(Approved.of([duplicate]), planned(SWAP, duplicate), None).changes == (duplicate,)
