"""A stage that is stopped from outside begins nothing more."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from opensearch_ml.reconcile.apply import _Stage
from opensearch_ml.resources.changes import Change, Difference, Kind

SWAP = Change(Kind.SWAP, "chat", differences=(Difference("parameters.model", "small", "large"),))


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
