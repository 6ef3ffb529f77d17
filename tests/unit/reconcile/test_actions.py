"""A swap gives its turn to others while it waits for calls in flight."""

from __future__ import annotations

import threading

import pytest

from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.reconcile import actions
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.rotation.record import Journal, Step
from tests.support import fleets
from tests.support.doubles import as_hook


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
