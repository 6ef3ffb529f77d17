"""When a plan is too much: a wrong folder or a lost secrets backend would change a whole fleet."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_ml.errors import PlanTooLarge
from opensearch_ml.resources.changes import Kind, Plan

STOPS = "a run stops before it writes anything"
# To deploy what is not deployed changes nothing of what a model is, and no wrong folder asks for it: a restart of the
# cluster does, and after that one all models wait for it.
CHANGING = (Kind.ADOPT, Kind.UPDATE, Kind.SWAP)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may do.

    :param deletions: how many blueprints' models and connectors it may delete, with `prune`.
    :param change_percent: how much of what stands on the cluster it may change or delete; what is created, or deployed
        again, changes none.
    :param always: so many are never too much, whatever their share.
    """

    deletions: int = 10
    change_percent: float = 30.0
    always: int = 5


def too_much(plan: Plan, limits: Limits, *, prune: bool) -> PlanTooLarge | None:
    """Return why a plan is not to be applied, or None if it is within the limits.

    :param prune: whether orphans are deleted; otherwise they are only told.
    """
    orphans = {change.what for change in plan.of_kind(Kind.ORPHAN)} if prune else set()
    changing = {change.what for change in plan.of_kind(*CHANGING)} | orphans
    changing |= {change.what for change in plan.of_kind(Kind.CREATE) if change.models}
    if len(orphans) > limits.deletions:
        return PlanTooLarge(
            f"{len(orphans)} orphans on {plan.target} would be deleted, more than the {limits.deletions} that "
            f"max_deletions allows: {STOPS}",
            evidence=f"orphans: {_some(orphans)}",
            fix="see that the target names every blueprint that lives on this cluster, because any other is an orphan "
            "there; if these are to go, run with a higher max_deletions; to keep them, run without prune",
        )
    # Two models of one blueprint are one that stands; an orphan stands beside what is wanted.
    standing = plan.standing + len({change.what for change in plan.of_kind(Kind.ORPHAN)})
    percent = 100 * len(changing) / max(standing, 1)
    if len(changing) > limits.always and percent > limits.change_percent:
        return PlanTooLarge(
            f"{len(changing)} of {standing} models on {plan.target} would change, {percent:.0f} %, more than the "
            f"{limits.change_percent:g} % that max_change_percent allows: {STOPS}",
            evidence=f"to be changed: {_some(changing)}",
            fix="read the plan: a wrong folder or another secrets backend changes many models at once; if the changes "
            "are meant, run with a higher max_change_percent",
        )
    return None


def _some(names: set[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")
