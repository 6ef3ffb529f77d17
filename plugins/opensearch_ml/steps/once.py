"""Exactly one of each: how an object is created once, although runs overlap and answers get lost.

The cluster gives ids and knows no unique names, so a create is followed by a second look after a short while. Among
several, the oldest wins, for every run alike; each run deletes its own loser. A create whose answer is lost is looked
for before it is repeated.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from opensearch_ml.client.documents import Doc
from opensearch_ml.errors import Transient
from opensearch_ml.retries import persistently

log = logging.getLogger(__name__)

# Longer than an object takes from getting its creation time to being found by a search (measured: up to 0.1 s).
SETTLE_S = 0.3


def create_once(
    look: Callable[[], list[Doc]], create: Callable[[], str], discard: Callable[[Doc], object]
) -> tuple[Doc, bool]:
    """Return the one object that `look` finds, creating it if there is none.

    :param look: returns what is there, oldest first.
    :param create: makes one and returns its id.
    :param discard: deletes a loser, an object that this call has created.
    :return: (the object, whether this call created it).
    """

    def attempt() -> tuple[Doc, bool]:
        if found := look():
            return found[0], False
        created = create()
        time.sleep(SETTLE_S)  # not a wait for something: the time in which another run's object may still appear
        found = look()
        mine = next((one for one in found if one["id"] == created), None)
        if mine is None:
            raise Transient("the new object is not found", evidence=f"id {created}", fix="run again")
        if found[0] is mine:
            return mine, True
        log.info("another run created %s first; ours, %s, is deleted again", found[0]["id"], created)
        persistently(lambda: discard(mine))
        return found[0], False

    return persistently(attempt)


@dataclass(frozen=True, slots=True)
class Maker(Generic[Doc]):
    """How one object is made, and its loser taken away: `create` and `discard` of `create_once`."""

    create: Callable[[], str]
    discard: Callable[[Doc], object]


Each = Callable[[Mapping[str, Callable[[], Any]]], dict[str, Any]]


def create_each_once(
    makers: Mapping[str, Maker[Doc]],
    look: Callable[[], Mapping[str, list[Doc]]],
    each: Each,
    *,
    looked: bool = False,
    attempts: int = 5,
) -> dict[str, tuple[Doc, bool] | Exception]:
    """Do what `create_once` does for many at once: one look for all, and one wait.

    :param makers: by whatever tells the objects apart.
    :param look: returns what is there, oldest first, by the same keys.
    :param each: calls many, and returns what each returned, or raised.
    :param looked: whether it is known that nothing was there a moment ago.
    :return: what `create_once` returns for each, or the error that it raises.
    """
    outcome: dict[str, tuple[Doc, bool] | Exception] = {}
    pending = dict(makers)
    for attempt in range(attempts):
        try:
            if attempt:
                time.sleep(random.uniform(0, min(4.0, 0.4 * 2**attempt)))  # noqa: S311 (no secret)
            found = look() if attempt or not looked else {}
            outcome |= {name: (found[name][0], False) for name in pending if found.get(name)}
            pending = {name: maker for name, maker in pending.items() if not found.get(name)}
            created, refused = _parted(each({name: maker.create for name, maker in pending.items()}))
            outcome |= refused
            if created:
                time.sleep(SETTLE_S)  # as in `create_once`, and once for all of them
                settled = _settled(created, look(), makers)
                each({name: discard for name, (_, discard) in settled.items() if discard})
                outcome |= {name: told for name, (told, _) in settled.items()}
        except Transient as error:  # of a look
            outcome |= dict.fromkeys(pending, error)
        pending = {name: maker for name, maker in pending.items() if isinstance(outcome.get(name), Transient)}
        if not pending:
            break
    return outcome


def _parted(results: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Exception]]:
    refused = {name: result for name, result in results.items() if isinstance(result, Exception)}
    return {name: result for name, result in results.items() if name not in refused}, refused


def _settled(
    created: Mapping[str, str], found: Mapping[str, list[Doc]], makers: Mapping[str, Maker[Doc]]
) -> dict[str, tuple[tuple[Doc, bool] | Exception, Callable[[], object] | None]]:
    settled: dict[str, tuple[tuple[Doc, bool] | Exception, Callable[[], object] | None]] = {}
    for name, made in created.items():
        standing = found.get(name, [])
        mine = next((one for one in standing if one["id"] == made), None)
        if mine is None:
            lost = Transient("the new object is not found", evidence=f"id {made}", fix="run again")
            settled[name] = (lost, None)
        elif standing[0] is mine:
            settled[name] = ((mine, True), None)
        else:
            log.info("another run created %s first; ours, %s, is deleted again", standing[0]["id"], made)
            discard = partial(persistently, partial(makers[name].discard, mine))
            settled[name] = ((standing[0], False), discard)
    return settled
