"""Calling again what failed for a passing reason, with growing pauses and a bound."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from opensearch_ml.errors import Transient

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
        before_sleep=before_sleep_log(log, logging.INFO),
        reraise=True,
    )
    return retrying(call)
