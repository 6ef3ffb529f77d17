"""Exactly one of each is made, although runs overlap and answers get lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import tenacity

from opensearch_ml.client.documents import ModelGroupDoc
from opensearch_ml.errors import Conflict, RequestRefused, Unreachable
from opensearch_ml.reconcile.concurrency import each
from opensearch_ml.steps import once
from opensearch_ml.steps.once import Maker, create_each_once


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
