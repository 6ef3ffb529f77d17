"""Calling again: how often, how long, for which errors, and what the log says of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
import tenacity

from opensearch_ml.errors import Conflict, NotYetEffective, PermissionDenied, Unreachable
from opensearch_ml.retries import persistently, until_effective

NOT_YET = NotYetEffective("IAM has it, and AWS does not go by it yet", evidence="403", fix="run again")
AWAY = Unreachable("no answer", evidence="time-out", fix="run again")
DENIED = PermissionDenied("refused", evidence="403", fix="allow it")


class Call:
    """Raises these errors one after the other, and returns then."""

    def __init__(self, *errors: Exception) -> None:
        self.left, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            raise self.left.pop(0)
        return "done"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, in seconds; the clock runs by them."""
    made: list[float] = []
    started = time.monotonic()

    def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("tenacity.nap.time.sleep", sleep)
    monkeypatch.setattr("tenacity.time.monotonic", lambda: started + sum(made))
    return made


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize(
    ("again", "error"), [(persistently, AWAY), (persistently, NOT_YET), (until_effective, NOT_YET)]
)
def test_what_fails_for_a_passing_reason_is_called_until_it_does_not(
    again: Callable[[Call], str], error: Exception
) -> None:
    call = Call(error, error)
    assert again(call) == "done"
    assert call.calls == 3


@pytest.mark.parametrize(
    ("again", "error"), [(persistently, DENIED), (until_effective, DENIED), (until_effective, AWAY)]
)
@pytest.mark.parametrize("before", [0, 2])
def test_any_other_error_is_raised_at_once(
    again: Callable[[Call], str], error: Exception, before: int, pauses: list[float]
) -> None:
    call = Call(*[NOT_YET] * before, error)
    with pytest.raises(type(error)) as raised:
        again(call)
    assert raised.value is error
    assert (call.calls, len(pauses)) == (before + 1, before)


def test_iams_delay_is_waited_for_no_longer_than_the_budget(pauses: list[float]) -> None:
    call = Call(*[NOT_YET] * 1000)
    with pytest.raises(NotYetEffective) as raised:
        until_effective(call, timeout_s=60.0)
    assert raised.value is NOT_YET
    assert 60.0 - 8.0 <= sum(pauses) <= 60.0
    assert all(0.5 <= pause <= 8.0 for pause in pauses)


def test_a_budget_of_nothing_is_one_call(pauses: list[float]) -> None:
    call = Call(NOT_YET)
    with pytest.raises(NotYetEffective):
        until_effective(call, timeout_s=0.0)
    assert (call.calls, pauses) == (1, [])


@pytest.mark.parametrize("attempts", [1, 5])
def test_attempts_are_counted_and_the_last_error_is_raised(attempts: int, pauses: list[float]) -> None:
    errors = [Conflict(f"attempt {n}", evidence="409", fix="run again") for n in range(1, 9)]
    call = Call(*errors)
    with pytest.raises(Conflict, match=f"attempt {attempts}"):
        persistently(call, attempts=attempts)
    assert (call.calls, len(pauses)) == (attempts, attempts - 1)


@pytest.mark.usefixtures("pauses")
def test_the_log_says_why_and_how_long_it_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("opensearch_ml.retries.wait_random_exponential", lambda **_: tenacity.wait_fixed(1.5))
    with caplog.at_level(logging.INFO):
        until_effective(Call(NOT_YET, NOT_YET))
    told = [record.getMessage() for record in caplog.records]
    assert told == ["IAM has it, and AWS does not go by it yet (403); trying again in 1.5 s"] * 2
