"""What of an approval is to be done now: the plan of this moment, held against what was approved. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.client.states import MODEL_DEPLOYING
from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.results import Outcome
from opensearch_ml.resources.changes import LAST_STAGE, STOPPED, Change, Kind, Plan


@dataclass(frozen=True, slots=True)
class Decision:
    """Either what is to be done, in order, or how it has ended already.

    :param ask: whether the model is there, and has not answered this run yet.
    """

    changes: tuple[Change, ...] = ()
    outcome: Outcome | None = None
    told: str = ""
    ask: bool = False


def decide(one: Approved, plan: Plan, model: ModelDoc | None) -> Decision:
    """Tell what is to be done of an approval.

    What a killed try of the run has begun reads otherwise than what was approved, and is gone on with all the same.

    :param plan: of now, made by the run that has the approval.
    :param model: the blueprint's, as it stands.
    """
    deletes = any(Kind(kind) in LAST_STAGE for kind in one.kinds)
    changes = [change for change in plan.changes if change.what == one.what]
    stopped = [change for change in changes if change.kind in STOPPED]
    now = tuple(change for change in changes if change.kind not in STOPPED and (change.kind in LAST_STAGE) is deletes)
    if stopped and not now:
        first = stopped[0]
        if first.kind is Kind.BLOCKED and _has_begun_to_deploy(one, model):
            return Decision((Change(Kind.REDEPLOY, one.what, models=first.models),))
        outcome = Outcome.BUSY if first.kind is Kind.BLOCKED else Outcome.FAILED
        return Decision(outcome=outcome, told=f"{first.why}; fix: {first.fix}" if first.fix else first.why)
    if not now:
        ask = Kind.CREATE.value in one.kinds and model is not None
        return Decision(outcome=Outcome.UNCHANGED, told="it is as it should be already", ask=ask)
    others = [change for change in now if not one.covers(change)]
    if others and Kind.ADOPT.value in one.kinds and all(change.kind is not Kind.ADOPT for change in now):
        told = "it is adopted already; what differs is planned by the next run"
        return Decision(outcome=Outcome.UNCHANGED, told=told)
    if others:
        kinds = ", ".join(dict.fromkeys(change.kind.value for change in others))
        why = f"it has changed since the plan was shown, and what is due now ({kinds}) was not approved"
        return Decision(outcome=Outcome.STALE, told=f"{why}: nothing was done, the next run plans it anew")
    return Decision(now)


def _has_begun_to_deploy(one: Approved, model: ModelDoc | None) -> bool:
    asked = {Kind.CREATE.value, Kind.REDEPLOY.value} & set(one.kinds)
    return bool(asked) and (model or {}).get("model_state") in MODEL_DEPLOYING
