"""What became of what was approved, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Outcome(str, Enum):
    """How it ended."""

    DONE = "done"
    UNCHANGED = "unchanged"  # there was nothing to do any more
    FAILED = "failed"
    STALE = "not as planned"  # it has changed since it was approved; the next run plans anew
    BUSY = "busy"  # another run is at it, or the cluster is


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done about one blueprint, or about one thing of the cluster.

    :param kinds: of the changes that were done or tried.
    :param told: one line; of a failure cause, evidence and fix; never a secret.
    :param model_id: of the blueprint's model, if it is known.
    """

    what: str
    kinds: tuple[str, ...]
    outcome: Outcome
    told: str
    model_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "kinds": list(self.kinds), "outcome": self.outcome.value}

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> Applied:
        """Read what `as_dict` returned."""
        return cls(**{**told, "kinds": tuple(told["kinds"]), "outcome": Outcome(told["outcome"])})
