"""The report of a preflight: what was asked, what is well, and what would go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from opensearch_ml.errors import OpenSearchMLError, PreflightFailed, Transient

T = TypeVar("T")


@dataclass
class Report:
    """What was asked, and how it stands.

    :param problems: what would go wrong.
    :param seen: what is well, and what could not be checked, one sentence each.
    """

    problems: list[OpenSearchMLError] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def ask(self, question: Callable[[], T]) -> T | None:
        """Return the answer; None where asking failed, which then is one of the problems."""
        try:
            return question()
        except OpenSearchMLError as error:
            self.problems.append(error)
            return None

    def conclude(self, name: str) -> None:
        """Raise what was found.

        :param name: the blueprint's.
        :raises Transient: nothing but what may pass, so that the task is tried again.
        :raises OpenSearchMLError: the one problem, or `PreflightFailed` with all of them.
        """
        # Several questions may meet the same wrong connection.
        problems = list({str(problem): problem for problem in self.problems}.values())
        if not problems:
            return
        lasting = [problem for problem in problems if not isinstance(problem, Transient)]
        if len(problems) == 1 or not lasting:
            raise problems[0]
        raise PreflightFailed(name, [*lasting, *(one for one in problems if one not in lasting)])
