"""The journal of a source: told before and after each of its steps, so that a test can kill a run at each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from opensearch_ml.rotation.record import When

SourceJournal = Callable[[Enum, When], None]


@contextmanager
def journaled(journal: SourceJournal, step: Enum) -> Iterator[None]:
    """Tell the journal that a step begins and, unless it fails, that it has ended."""
    journal(step, "before")
    yield
    journal(step, "after")
