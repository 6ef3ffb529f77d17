"""The steps of a swap, the limits it keeps, and the record that it leaves as evidence. No secret is in any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Literal

Outcome = Literal["rotated", "unchanged", "busy"]
When = Literal["before", "after"]


class Step(str, Enum):
    """Every step that writes, or that the next one relies on; a killed run is taken up again at each of them.

    The journal is called before and after each; a test kills a run at each of these moments, whatever their number.
    """

    CLAIM = "claim"  # candidate connector, still without its credential: who has the oldest one rotates
    REGISTER = "register"  # canary model on the candidate; it holds the lease from here on
    RECOVER = "recover"  # at the source, what a killed run left there
    FETCH = "fetch"  # the source's next credential, into the candidate
    DEPLOY = "deploy"  # the canary
    TEST = "test"  # the candidate, through the canary
    SWITCH = "switch"  # the model to the candidate
    PROVE = "prove"  # every node serves it
    PROMOTE = "promote"  # at the source
    GRACE = "grace"  # calls in flight end
    RETIRE = "retire"  # the old credential, at the source
    DELETE_OLD = "delete_old"  # the old connector
    BACK = "back"  # only on failure: the model to the old connector
    PROVE_BACK = "prove_back"  # only on failure: every node serves the old one
    UNDEPLOY_CANARY = "undeploy_canary"
    DELETE_CANARY = "delete_canary"  # with it the lease ends
    DELETE_CANDIDATE = "delete_candidate"  # only on failure, and after an internal connector's swap
    ABANDON = "abandon"  # only on failure: the new credential, at the source


Journal = Callable[[Step, When], None]


def no_journal(step: Enum, when: When) -> None:
    """Keep no journal."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a swap waits, and how often it asks. Times are seconds.

    :param test_predicts: predicts through the canary.
    :param answer_s: a slower answer of the canary refuses the candidate; None: the connector's read timeout.
    :param serve_s: budget until every node serves the candidate.
    :param proof_predicts: through the model, after the switch, for each node.
    :param grace_s: on top of the time that a call in flight may take.
    :param grace_max_s: no longer than this, whatever the connector's time-outs say (2.19's default is 30000 s).
    :param lease_s: who does not stir for so long is taken for dead.
    """

    test_predicts: int = 3
    answer_s: float | None = None
    serve_s: float = 30.0
    proof_predicts: int = 2
    grace_s: float = 2.0
    grace_max_s: float = 300.0
    lease_s: float = 30.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class StepTime:
    """When a step began, by the clock of whoever rotated, and how long it took.

    :param step: the value of a `Step`.
    :param started: ISO 8601, UTC.
    :param seconds: until its end.
    """

    step: str
    started: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RotationRecord:
    """What a rotation did: the evidence, small enough for an XCom and an asset event.

    :param outcome: ``rotated``, ``unchanged``, or ``busy`` if another run rotates this model.
    :param blueprint: its name.
    :param model_id: the model, which is the same before and after; empty if the blueprint has none here.
    :param source: the source's name.
    :param why: dotted paths that differed (``credential`` among them), or ``forced``, or ``finished`` for the rest of
        a killed run; never a value.
    :param old_connector: id of the connector that served before; empty for an internal one.
    :param new_connector: id of the one that serves now.
    :param old_mark: credential fingerprint before, or what stands for it.
    :param new_mark: the same, of what serves now.
    :param version: of the new credential, as its source says it.
    :param steps: each step's time, in order.
    :param test_predicts: through the canary, all right.
    :param proof_predicts: through the model after the switch, all right.
    :param nodes: how many nodes were seen to serve the new connector.
    :param next_due: when the next rotation must happen; None: not by time.
    :param details: what was recovered, retired, left or found, one sentence each.
    """

    outcome: Outcome
    blueprint: str
    model_id: str
    source: str
    why: tuple[str, ...] = ()
    old_connector: str = ""
    new_connector: str = ""
    old_mark: str = ""
    new_mark: str = ""
    version: str = ""
    steps: tuple[StepTime, ...] = ()
    test_predicts: int = 0
    proof_predicts: int = 0
    nodes: int = 0
    next_due: datetime | None = None
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"model {self.model_id} of {self.blueprint}: {self.outcome}"
        if self.outcome == "rotated":
            told += f" ({', '.join(self.why)}); {self.new_connector or 'its internal connector'} serves"
        return told + (f": {'; '.join(self.details)}" if self.details else "")

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it; times are ISO 8601."""
        due = self.next_due.isoformat() if self.next_due else None
        document: dict[str, Any] = json.loads(json.dumps({**asdict(self), "next_due": due}))  # tuples become lists
        return document
