"""When a plan is too much: a wrong folder or a lost secrets backend would change a whole fleet."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_ml.errors import PlanTooLarge
from opensearch_ml.fleet.changes import Kind, Plan

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
            f"{len(orphans)} models would be deleted on {plan.target}, and a run may delete {limits.deletions}; "
            "nothing was written",
            evidence=f"no longer wanted: {_some(orphans)}",
            fix="see that the target names all blueprints that live there; if these are to go, raise the limit for one "
            "run, or run without prune",
        )
    # Two models of one blueprint are one that stands; an orphan stands beside what is wanted.
    standing = plan.standing + len({change.what for change in plan.of_kind(Kind.ORPHAN)})
    percent = 100 * len(changing) / max(standing, 1)
    if len(changing) > limits.always and percent > limits.change_percent:
        return PlanTooLarge(
            f"{len(changing)} of {standing} models on {plan.target} would change, which is {percent:.0f} %, and a run "
            f"may change {limits.change_percent:g} %; nothing was written",
            evidence=f"to be changed: {_some(changing)}",
            fix="read the plan: if it is what you want, raise the limit for one run",
        )
    return None


def _some(names: set[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")
