"""Exactly one of each: how an object is created once, although runs overlap and answers get lost.

The cluster gives ids and knows no unique names, so a create is followed by a second look after a short while. Among
several, the oldest wins, for every run alike; each run deletes its own loser. A create whose answer is lost is looked
for before it is repeated.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from opensearch_ml.errors import Transient
from opensearch_ml.retries import persistently

log = logging.getLogger(__name__)

# Longer than an object takes from getting its creation time to being found by a search (measured: up to 0.1 s).
SETTLE_S = 0.3

Found = dict[str, Any]


def create_once(
    look: Callable[[], list[Found]], create: Callable[[], str], discard: Callable[[Found], object]
) -> tuple[Found, bool]:
    """Return the one object that `look` finds, creating it if there is none.

    :param look: returns what is there, oldest first.
    :param create: makes one and returns its id.
    :param discard: deletes a loser, an object that this call has created.
    :return: (the object, whether this call created it).
    """

    def attempt() -> tuple[Found, bool]:
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
