"""Exactly one of each: how an object is created once, although runs overlap and answers get lost.

The cluster assigns ids and enforces no unique names, so a create is followed by a second look after a short while.
Among several objects the oldest wins, in every run alike; each run deletes its own loser. A create whose answer is
lost is looked for before it is repeated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from opensearch_ml.client.documents import Doc
from opensearch_ml.errors import OpenSearchMLError, Transient
from opensearch_ml.retries import persistently

log = logging.getLogger(__name__)

# Longer than an object takes from getting its creation time to being found by a search (measured: up to 0.1 s).
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class Maker(Generic[Doc]):
    """How one object is created, and deleted again if another run's object is older.

    :param create: creates one and returns its id.
    :param discard: deletes a loser, an object that this run has created.
    """

    create: Callable[[], str]
    discard: Callable[[Doc], object]


Each = Callable[[Mapping[str, Callable[[], Any]]], dict[str, Any]]
"""Calls many, and returns what each returned, or the exception that it raised."""


def create_once(
    look: Callable[[], list[Doc]], create: Callable[[], str], discard: Callable[[Doc], object]
) -> tuple[Doc, bool]:
    """Return the one object that `look` finds, creating it if there is none.

    :param look: returns what is there, oldest first.
    :param create: as of `Maker`.
    :param discard: as of `Maker`.
    :return: (the object, whether this call created it).
    """
    outcome = create_each_once({"it": Maker(create, discard)}, lambda: {"it": look()}, one_by_one)["it"]
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def create_each_once(
    makers: Mapping[str, Maker[Doc]],
    look: Callable[[], Mapping[str, list[Doc]]],
    each: Each,
    *,
    looked: bool = False,
) -> dict[str, tuple[Doc, bool] | Exception]:
    """Do what `create_once` does for many at once: one look for all, and one wait.

    :param makers: by whatever tells the objects apart.
    :param look: returns what is there, oldest first, by the same keys.
    :param looked: whether it is known that nothing was there a moment ago.
    :return: what `create_once` returns for each, or the error that it raises.
    """
    outcome: dict[str, tuple[Doc, bool] | Exception] = {}
    is_absent = looked

    def attempt() -> None:
        nonlocal is_absent
        found = {} if is_absent else look()
        is_absent = False
        pending = [name for name in makers if name not in outcome or isinstance(outcome[name], Transient)]
        outcome.update({name: (found[name][0], False) for name in pending if found.get(name)})
        results = each({name: makers[name].create for name in pending if not found.get(name)})
        refused = _errors(results)
        outcome.update(refused)
        if created := {name: created_id for name, created_id in results.items() if name not in refused}:
            time.sleep(SETTLE_S)  # not a wait for something: the time in which another run's object may still appear
            settled, discards = _settled(created, look(), makers)
            outcome.update({**settled, **_errors(each(discards))})
        for error in outcome.values():
            if isinstance(error, Transient):
                raise error

    try:
        persistently(attempt)
    except OpenSearchMLError as error:  # also of a look
        return {name: outcome.get(name, error) for name in makers}
    return outcome


def one_by_one(calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """Call several, one after the other, and return what each returned, or the exception that it raised."""
    results: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            results[name] = call()
        except Exception as error:
            results[name] = error
    return results


def _errors(results: Mapping[str, Any]) -> dict[str, Exception]:
    return {name: result for name, result in results.items() if isinstance(result, Exception)}


def _settled(
    created: Mapping[str, str], found: Mapping[str, list[Doc]], makers: Mapping[str, Maker[Doc]]
) -> tuple[dict[str, tuple[Doc, bool] | Exception], dict[str, Callable[[], object]]]:
    """Return how each create came out, and the calls that delete the losers.

    :param created: ids of what this run created.
    """
    settled: dict[str, tuple[Doc, bool] | Exception] = {}
    discards: dict[str, Callable[[], object]] = {}
    for name, created_id in created.items():
        objects = found.get(name, [])
        mine = next((one for one in objects if one["id"] == created_id), None)
        if mine is None:
            settled[name] = Transient("the new object is not found", evidence=f"id {created_id}", fix="run again")
            continue
        settled[name] = (objects[0], objects[0] is mine)
        if objects[0] is not mine:
            log.info("another run created %s first; ours, %s, is deleted again", objects[0]["id"], created_id)
            discards[name] = partial(persistently, partial(makers[name].discard, mine))
    return settled, discards
