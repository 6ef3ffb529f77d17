"""What is done of an approval, and how many changes are under way: the pure parts of applying."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import tenacity

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc, ModelGroupDoc
from opensearch_ml.credentials import fingerprint
from opensearch_ml.errors import Conflict, RequestRefused, Unreachable
from opensearch_ml.reconcile import actions
from opensearch_ml.reconcile.apply import _Stage
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import Approved, approved
from opensearch_ml.reconcile.concurrency import each
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.reconcile.staleness import decide
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan
from opensearch_ml.resources.inventory import Fleet
from opensearch_ml.rotation.record import Journal, Step
from opensearch_ml.rotation.switch import Switch
from opensearch_ml.steps import once
from opensearch_ml.steps.once import Maker, create_each_once
from tests.support import fleets
from tests.support.doubles import as_hook

SWAP = Change(Kind.SWAP, "chat", differences=(Difference("parameters.model", "small", "large"),))
UPDATE = Change(Kind.UPDATE, "chat", differences=(Difference("model.description", None, "new"),))
REDEPLOY = Change(Kind.REDEPLOY, "chat", "UNDEPLOYED", models=("m",))
CREATE = Change(Kind.CREATE, "chat")
ORPHAN = Change(Kind.ORPHAN, "old", models=("m1", "m2"), connectors=("c1",))
BLOCKED = Change(Kind.BLOCKED, "chat", "it is being deployed", models=("m",), fix="nothing")


def planned(*changes: Change) -> Plan:
    return Plan("t", 1, changes, ())


def test_an_approval_survives_the_way_through_json_and_is_small() -> None:
    one = Approved.of([UPDATE, SWAP])
    assert Approved.of_list(json.loads(json.dumps(one.as_list()))) == one
    assert len(json.dumps(one.as_list())) < 100
    assert "large" not in json.dumps(one.as_list())


def test_a_result_survives_the_way_through_json() -> None:
    done = Applied("chat", ("swap",), Outcome.DONE, "told", "m")
    assert Applied.of_dict(json.loads(json.dumps(done.as_dict()))) == done


def test_approvals_are_one_for_each_thing_of_a_stage() -> None:
    plan = planned(UPDATE, SWAP, ORPHAN)
    assert [[one.what for one in approved(stage)] for stage in plan.stages()] == [["chat"], ["old"]]


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


# ---- at once


def test_one_failure_is_its_own_result_and_the_order_stays() -> None:
    def fails() -> None:
        raise ValueError("no")

    results = each({"a": lambda: 1, "b": fails, "c": lambda: 3}, 2)
    assert list(results) == ["a", "b", "c"]
    assert (results["a"], str(results["b"]), results["c"]) == (1, "no", 3)


def test_no_more_are_under_way_than_allowed() -> None:
    seen: list[int] = []
    now: list[int] = []

    def request() -> None:
        now.append(1)
        seen.append(len(now))
        time.sleep(0.005)
        now.pop()

    each({str(number): request for number in range(30)}, 3)
    assert max(seen) == 3


def test_a_swap_in_its_grace_period_lets_another_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = threading.BoundedSemaphore(1)

    def rotate(*_: object, on_step: Journal, **__: object) -> None:
        on_step(Step.TEST, "before")
        assert not turns.acquire(blocking=False)
        on_step(Step.GRACE, "before")
        with turns:
            pass
        on_step(Step.GRACE, "after")
        assert not turns.acquire(blocking=False)

    monkeypatch.setattr(actions, "rotate", rotate)
    monkeypatch.setattr(actions, "source_for", lambda *_: None)
    applying = ApplyContext(as_hook(object()), Catalog.__new__(Catalog), Target(name="t"), None, None, "run-1")
    with turns:
        actions.swap(applying, fleets.blueprint(), turns)
    assert turns.acquire(blocking=False)


def test_a_task_that_is_stopped_begins_no_swap_that_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = _Stage.__new__(_Stage)
    names = ("a", "b", "c")
    stage.at_once, stage.ended, stage.told = 1, {}, {name: [] for name in names}
    stage.todo = {name: (replace(SWAP, what=name),) for name in names}
    begun, is_stopped = [], threading.Event()

    def do_one(change: Change, turns: threading.Semaphore) -> str:
        begun.append(change.what)
        assert len(begun) == 1 or is_stopped.wait(10)
        return "done"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "do_one", do_one)
    monkeypatch.setattr(stage, "end", stop)
    with pytest.raises(KeyboardInterrupt):
        stage.do_changes(Kind.SWAP, threads=3)
    is_stopped.set()
    for thread in threading.enumerate():
        if thread.name.startswith("fleet"):
            thread.join(10)
    assert len(begun) <= 2


# ---- once each


class Objects:
    """A cluster that gives ids and knows no unique names."""

    def __init__(self) -> None:
        self.made: list[ModelGroupDoc] = []
        self.looks = 0

    def look(self) -> dict[str, list[ModelGroupDoc]]:
        self.looks += 1
        found: dict[str, list[ModelGroupDoc]] = {}
        for one in self.made:
            found.setdefault(one["name"], []).append(one)
        return found

    def maker(self, name: str, *, before: tuple[Exception, ...] = (), lost: int = 0) -> Maker[ModelGroupDoc]:
        failures, losses = list(before), [1] * lost

        def create() -> str:
            if failures:
                raise failures.pop(0)
            self.made.append({"id": f"{name}-{len(self.made)}", "name": name})
            if losses:
                losses.pop()
                raise Unreachable("lost", evidence="", fix="")
            return self.made[-1]["id"]

        return Maker(create, self.made.remove)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "SETTLE_S", 0.0)
    monkeypatch.setattr("opensearch_ml.retries.wait_random_exponential", lambda **_: tenacity.wait_none())


def at_once(calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    return each(calls, 4)


def test_many_are_made_with_one_look_after_it() -> None:
    objects = Objects()
    names = [f"n{number}" for number in range(20)]
    outcome = create_each_once({name: objects.maker(name) for name in names}, objects.look, at_once, looked=True)
    assert all(isinstance(made, tuple) and made[1] for made in outcome.values())
    assert (objects.looks, len(objects.made)) == (1, 20)


def test_a_create_whose_answer_is_lost_is_looked_for_before_it_is_repeated() -> None:
    objects = Objects()
    outcome = create_each_once({"a": objects.maker("a", lost=1)}, objects.look, at_once, looked=True)
    assert outcome["a"] == ({"id": "a-0", "name": "a"}, False)
    assert len(objects.made) == 1


def test_an_older_one_of_another_run_wins_and_ours_is_deleted() -> None:
    objects = Objects()
    maker = objects.maker("a")

    def create() -> str:
        objects.made.append({"id": "theirs", "name": "a"})
        return maker.create()

    outcome = create_each_once({"a": Maker(create, maker.discard)}, objects.look, at_once, looked=True)
    assert outcome["a"] == ({"id": "theirs", "name": "a"}, False)
    assert [one["id"] for one in objects.made] == ["theirs"]


def test_a_loser_that_cannot_be_deleted_is_an_error() -> None:
    objects = Objects()
    maker = objects.maker("a")
    refusal = RequestRefused("no", evidence="", fix="")

    def create() -> str:
        objects.made.append({"id": "theirs", "name": "a"})
        return maker.create()

    def discard(loser: ModelGroupDoc) -> None:
        raise refusal

    outcome = create_each_once({"a": Maker(create, discard)}, objects.look, at_once, looked=True)
    assert outcome["a"] is refusal


def test_a_look_that_is_refused_is_the_error_of_each() -> None:
    objects = Objects()
    refusal = RequestRefused("no", evidence="", fix="")

    def look() -> dict[str, list[ModelGroupDoc]]:
        raise refusal

    outcome = create_each_once({name: objects.maker(name) for name in "ab"}, look, at_once)
    assert outcome == {"a": refusal, "b": refusal}


def test_a_refusal_is_the_end_for_one_and_a_conflict_is_tried_again() -> None:
    objects = Objects()
    refusal = RequestRefused("no", evidence="", fix="")
    conflict = Conflict("other", evidence="", fix="")
    outcome = create_each_once(
        {"a": objects.maker("a", before=(refusal,)), "b": objects.maker("b", before=(conflict, conflict))},
        objects.look,
        at_once,
    )
    assert outcome["a"] is refusal
    assert outcome["b"] == ({"id": "b-0", "name": "b"}, True)


# ---- fingerprints


def test_equal_references_on_one_cluster_give_equal_fingerprints_and_no_others_do() -> None:
    credential, references = {"key": "secret"}, {"key": "password of connection a"}
    one, again = (fingerprint.fingerprint(credential, fingerprint.salt_of("u", references)) for _ in range(2))
    other_cluster = fingerprint.fingerprint(credential, fingerprint.salt_of("v", references))
    other_references = fingerprint.fingerprint(credential, fingerprint.salt_of("u", {"key": "variable b"}))
    assert one == again
    assert len({one, other_cluster, other_references}) == 3
    assert fingerprint.FORM.fullmatch(one)
    assert all(fingerprint.matches(mark, credential) for mark in (one, other_cluster, other_references))
    assert not fingerprint.matches(one, {"key": "another"})


def test_a_fingerprint_is_computed_once_and_what_is_remembered_tells_no_secret() -> None:
    credential, salt = {"key": "a-secret-of-this-test"}, b"x" * 12
    known = fingerprint.fingerprint(credential, salt)
    started = time.process_time()
    assert all(fingerprint.matches(known, credential) for _ in range(100))
    assert time.process_time() - started < 1.0
    assert "a-secret-of-this-test" not in repr(fingerprint._remembered)


# ---- what others made


def adopted_world() -> tuple[Blueprint, ConnectorDoc, ModelDoc]:
    chat = fleets.blueprint()
    described = adoption.described("By hand", "chat", fleets.RIGHT)
    return chat, fleets.foreign(chat, "theirs"), fleets.model(chat, "m", "theirs", description=described)


def test_the_connector_of_an_adopted_model_is_known_to_be_of_others() -> None:
    chat, connector, model = adopted_world()
    live = Fleet([connector], [model], fleets.VERSION).rotation_state(chat).live
    assert live is not None
    assert (live.id, live.others, live.mark, live.differs) == ("theirs", True, fleets.RIGHT, ())


def test_an_adopted_model_that_is_wanted_no_more_loses_its_mark_alone() -> None:
    _, connector, model = adopted_world()
    change = fleets.only(fleets.planned([], fleets.cluster([connector], [model])))
    assert (change.kind, change.models, change.connectors) == (Kind.ORPHAN, ("m",), ())
    assert [(one.path, one.after) for one in change.differences] == [("model.description", "By hand")]


def test_an_adopted_model_on_a_connector_of_ours_is_deleted_like_any_other() -> None:
    chat, _, model = adopted_world()
    ours = fleets.connector(chat, "ours")
    change = fleets.only(fleets.planned([], fleets.cluster([ours], [{**model, "connector_id": "ours"}])))
    assert (change.kind, change.models, change.connectors, change.differences) == (Kind.ORPHAN, ("m",), ("ours",), ())


class Puts:
    """A hook to which a switch writes."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []

    def predictors(self, model_id: str) -> dict[str, str]:
        return {}

    def get_connector(self, connector_id: str) -> ConnectorDoc | None:
        return {"id": connector_id}

    def update_model(self, model_id: str, body: Mapping[str, object]) -> None:
        self.bodies.append(dict(body))


def test_a_switch_takes_the_mark_away_in_the_same_request_and_the_way_back_brings_it_again() -> None:
    chat, _, model = adopted_world()
    hook = Puts()
    switch = Switch(as_hook(hook), chat, model, to="ours", new=None, token="run-1", back_to="theirs")
    switch.forth()
    switch.back()
    assert hook.bodies == [
        {"connector_id": "ours", "description": "By hand"},
        {"connector_id": "theirs", "description": model["description"]},
    ]
