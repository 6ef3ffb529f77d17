"""How many requests are under way at once: fewer, and after a pause, while the answer is that they are too many.

A rejected request says nothing about how many would have been taken, so the number is halved at each refusal and rises
again by one each time that so many have been taken; the pauses grow, and are random, so that two runs do not meet.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from types import TracebackType

from opensearch_ml.errors import Unreachable

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
# A rotation that does not stir for 30 s is taken for dead, so its lease must be renewed in less.
LONGEST_PAUSE_S = 6.0


class Budget:
    """A context for one request each.

    :param at_once: how many at most.
    """

    def __init__(self, at_once: int) -> None:
        self._most = max(1, at_once)
        self._allowed = float(self._most)
        self._under_way = 0
        self._pause_s = 0.0
        self._resumes = 0.0
        self._stopped = False
        self._changed = threading.Condition()
        self.refusals = 0

    @property
    def allowed(self) -> int:
        """How many may be under way now."""
        return int(self._allowed)

    def refused(self) -> None:
        """Tell that a request was refused because there are too many; once for all that were under way together."""
        with self._changed:
            self.refusals += 1
            now = time.monotonic()
            if now < self._resumes:
                return
            self._allowed = max(1.0, self._allowed / 2)
            self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause_s))
            self._resumes = now + self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            told = self._resumes - now
        log.warning("too many requests: %s at once from here on, after a pause of %.1f s", self.allowed, told)

    def taken(self) -> None:
        """Tell that a request was not refused."""
        with self._changed:
            if self._allowed < self._most:
                self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
                self._changed.notify_all()
            elif self._pause_s:
                self._pause_s = 0.0

    def stop(self) -> None:
        """Let no request begin any more: whoever waits is told so."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __enter__(self) -> Budget:
        with self._changed:
            while True:
                if self._stopped:
                    raise Unreachable(
                        "the run was stopped, and sends nothing any more",
                        evidence="the task was ended from outside",
                        fix="run again: the next run goes on where this one stopped",
                    )
                rest_s = self._resumes - time.monotonic()
                if rest_s <= 0 and self._under_way < self.allowed:
                    break
                self._changed.wait(rest_s if rest_s > 0 else None)
            self._under_way += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify()
