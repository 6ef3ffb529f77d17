"""What a step did: the value that operators log and return the id of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Action = Literal["unchanged", "created", "updated", "deleted", "left"]


@dataclass(frozen=True, slots=True)
class Changed:
    """The outcome of one step; false when nothing was written.

    :param what: the object, as a person says it: ``connector of openai_chat``.
    :param action: what was done to it.
    :param id: its id in the cluster, if it has one.
    :param details: what was added, removed or left, one entry each; never a secret.
    """

    what: str
    action: Action
    id: str = ""
    details: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.action in ("created", "updated", "deleted")

    def __str__(self) -> str:
        return " ".join(filter(None, (self.what, self.id, self.action))) + (
            f": {'; '.join(self.details)}" if self.details else ""
        )


def changed(what: str, details: Iterable[str], *, action: Action = "updated") -> Changed:
    """Return `action` if there are details, and unchanged if there are none."""
    told = tuple(details)
    return Changed(what, action if told else "unchanged", details=told)
