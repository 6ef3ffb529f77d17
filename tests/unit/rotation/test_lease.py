"""Who holds a model's lease is taken for dead only if nothing stirs, but for what it had sent before it died."""

from __future__ import annotations

from itertools import chain, repeat

import pytest

from opensearch_ml.resources.rotation_state import Canary, Connector, RotationState
from opensearch_ml.rotation import lease
from tests.support.doubles import as_hook
from tests.support.rotation_cases import Hook, blueprint

CANDIDATE = Connector("B", run="other")
ENDED = RotationState(None, None)


def beat(number: int) -> RotationState:
    return RotationState(None, None, (CANDIDATE,), (), (Canary("c", "B", "other", "ff", number),))


def lives(monkeypatch: pytest.MonkeyPatch, *seen: RotationState) -> bool:
    """Whether a run is taken for alive that was first seen at its first beat, and then as told."""
    looks = chain(seen, repeat(seen[-1]))
    monkeypatch.setattr(lease, "read_rotation_state", lambda *_: next(looks))
    return lease.is_alive(as_hook(Hook()), blueprint(), beat(1), lease_s=0.1)


def test_who_does_not_stir_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lives(monkeypatch, beat(1))


def test_who_goes_on_stirring_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lives(monkeypatch, beat(1), beat(2), beat(2), beat(3))


def test_what_a_killed_run_had_sent_is_no_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lives(monkeypatch, beat(1), beat(2))


def test_who_comes_to_its_end_has_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lives(monkeypatch, ENDED)
