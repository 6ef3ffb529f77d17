"""One rotation of a model at a time: who holds the lease, who takes it over from the dead, and how it is kept.

The lease is the canary's description: token of the run, its process, and a beat that rises while it lives. Before there
is a canary, it is the candidate's own mark. Nobody compares clocks: whoever meets another's lease watches it, and takes
it over if nothing stirs. The cluster has no compare-and-set, so a take-over writes, waits a moment and reads again.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from types import TracebackType
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.rotation_state import HELD_BY, RotationState, held_by
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.read_state import read_rotation_state
from opensearch_ml.steps.once import SETTLE_S

log = logging.getLogger(__name__)

WATCH_EVERY_S = 1.0
NEVER = float("-inf")


class LeaseLost(Exception):  # noqa: N818 (it is no error: another run works)
    """Another process claimed the model first or holds the lease; nothing may be written any more.

    :param holder: its token.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class Lease:
    """The right to rotate one model, kept by a thread of its own from `take` on, whatever the main one waits for.

    :param token: of this run.
    :param lease_s: who does not stir for so long, in seconds, is taken for dead.
    :ivar canary_id: the model that carries the lease; empty while it is not held.
    """

    def __init__(self, hook: OpenSearchMLHook, token: str, lease_s: float) -> None:
        self._hook = hook
        self._token = token
        self._lease_s = lease_s
        self._process = secrets.token_hex(4)
        self._beat = 0
        self.canary_id = ""
        self._renewed = NEVER
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def description(self) -> str:
        """What a canary of this process carries when it is registered."""
        return held_by(self._token, self._process, self._beat)

    def take(self, canary_id: str) -> None:
        """Hold the lease from here on: the canary was registered by this process, or its holder is dead or us.

        :raises LeaseLost: another run takes it over at the same time, and was later.
        """
        self.canary_id = canary_id
        self._renewed = time.monotonic()
        if self._holder_of(canary_id) != (self._token, self._process):
            self._write()
            time.sleep(SETTLE_S)  # not a wait for something: the time in which another run may write it too
        self._read()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep, daemon=True, name="rotation lease")
            self._thread.start()

    def check(self) -> None:
        """Make sure that it is still ours; asks the cluster only if the thread could not renew it for long.

        :raises LeaseLost: it is another's.
        """
        if self.canary_id and time.monotonic() - self._renewed > self._lease_s / 2:
            self.renew()

    def renew(self) -> None:
        """Show that we live.

        :raises LeaseLost: it is another's.
        """
        with self._writing:
            if self.canary_id:
                self._read()
                self._beat += 1
                self._write()

    def release(self) -> None:
        """Hold it no longer; the canary may be deleted."""
        with self._writing:
            self.canary_id = ""

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self.release()

    def _keep(self) -> None:
        while not self._ended.wait(self._lease_s / 3):
            try:
                self.renew()
            except LeaseLost:
                self._renewed = NEVER  # so that `check` asks, and finds out
                return
            except OpenSearchMLError as error:
                log.info("the lease was not renewed: %s", error.cause)

    def _write(self) -> None:
        sent = time.monotonic()
        persistently(lambda: self._hook.update_model(self.canary_id, {"description": self.description}))
        self._renewed = sent

    def _read(self) -> None:
        holder = self._holder_of(self.canary_id)
        if holder != (self._token, self._process):
            raise LeaseLost(holder[0])

    def _holder_of(self, canary_id: str) -> tuple[str, str]:
        found: ModelDoc = self._hook.get_model(canary_id) or {}
        held = HELD_BY.search(found.get("description") or "")
        return (held["token"], held["process"]) if held else ("", "")


def is_alive(hook: OpenSearchMLHook, blueprint: Blueprint, seen: RotationState, lease_s: float) -> bool:
    """Watch another run's lease until it stirs twice, or for as long as that may take.

    Once is no proof of life: the cluster may still do what a run had sent before it was killed.

    :param seen: what was found first.
    :return: False if it is dead: what stands may be another thing than what was found first.
    """
    log.info("run %s rotates %s; watching for %.0f s whether it lives", seen.holder, blueprint.name, lease_s)
    stirred, last = 0, _traces(seen)
    until = time.monotonic() + lease_s
    while time.monotonic() < until:
        time.sleep(min(WATCH_EVERY_S, lease_s / 3))
        found = read_rotation_state(hook, blueprint)
        if (now := _traces(found)) == last:
            continue
        stirred += 1
        if stirred > 1 or found.holder is None:  # nobody holds it any more: that run has come to its end
            return True
        last, until = now, time.monotonic() + lease_s
    return False


def _traces(found: RotationState) -> tuple[Any, ...]:
    return (found.live, found.candidates, found.retired, found.canaries)
