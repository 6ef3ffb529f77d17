"""Calling again what failed for a passing reason, with growing pauses and a bound."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from opensearch_ml.errors import NotYetEffective, Transient

__all__ = ["persistently", "until_effective"]

T = TypeVar("T")
log = logging.getLogger(__name__)


def persistently(call: Callable[[], T], *, attempts: int = 5) -> T:
    """Call until it does not raise `Transient`; the pauses are random, so that two runs do not meet again and again.

    :param attempts: how often in all; five take up to about six seconds of pauses, three up to one.
    :raises Transient: the last one, when the attempts are used up. Any other error at once.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(Transient),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.4, max=4),
        before_sleep=_say_why,
        reraise=True,
    )
    return retrying(call)


def until_effective(call: Callable[[], T], *, timeout_s: float = 60.0) -> T:
    """Call until it does not raise `NotYetEffective`: what IAM holds takes seconds, seldom a minute, to spread.

    :param timeout_s: whole budget in seconds, the calls' own time included.
    :raises NotYetEffective: the last one, when the budget is used up. Any other error at once.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(NotYetEffective),
        stop=stop_before_delay(timeout_s),
        wait=wait_random_exponential(multiplier=0.5, min=0.5, max=8),
        before_sleep=_say_why,
        reraise=True,
    )
    return retrying(call)


def _say_why(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Transient):
        log.info("%s (%s); trying again in %.1f s", error.cause, error.evidence, state.upcoming_sleep)
