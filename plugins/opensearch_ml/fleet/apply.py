"""Applying a plan: what was approved is done, a stage at a time, and one failure keeps nobody else from his own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from opensearch_ml.fleet.approved import Approved

if TYPE_CHECKING:
    from opensearch_ml.catalog import Catalog
    from opensearch_ml.hook import OpenSearchMLHook
    from opensearch_ml.targets import Target

__all__ = ["Applied", "Applying", "Approved", "Outcome", "apply_stage"]

AT_ONCE = 2


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


@dataclass(frozen=True)
class Applying:
    """Who applies to which cluster.

    :param admin: who writes settings and role mappings, if not the user of `hook`.
    :param aws_conn_id: who asks AWS, as for `plan_for`.
    :param token: of the run; a retry has the same one, and goes on with what it began.
    """

    hook: OpenSearchMLHook
    catalog: Catalog
    target: Target
    admin: OpenSearchMLHook | None
    aws_conn_id: str | None
    token: str


def apply_stage(
    applying: Applying,
    approved: Sequence[Approved],
    *,
    at_once: int = AT_ONCE,
    on_done: Callable[[Applied, int, int], None],
) -> list[Applied]:
    """Look once, and do what stands to be done now of what was approved.

    :param approved: of one stage; what is about one blueprint is done in order, blueprints at once.
    :param at_once: how many blueprints; fewer while the cluster says that it is too many.
    :param on_done: called after each with (what was done, how many are done, how many there are).
    :return: in the order of `approved`, one for each.
    :raises OpenSearchMLError: the cluster could not be looked at; nothing was written.
    """
    raise NotImplementedError
