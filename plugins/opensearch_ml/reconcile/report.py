"""What became of a plan: a row for everything that it named, told as a table, who needs attention first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.resources.changes import STOPPED, Kind, Plan

ATTENTION = (Outcome.FAILED.value, Kind.BROKEN.value, Kind.BLOCKED.value, Outcome.STALE.value, Outcome.BUSY.value)
QUIET = (Outcome.DONE.value, Outcome.UNCHANGED.value)
FAILING = (Outcome.FAILED.value, Kind.BROKEN.value)
NO_WORD = "its task ended without a word: read the log of the task"
TOGETHER = 4  # so many that came to the same are told in one line
NAMES = 12  # in one line
STOPPED_TOLD = 100
WHY_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One blueprint, or one thing of the cluster.

    :param outcome: of `Outcome`, or the kind of what was stopped.
    :param told: what was done; of a failure cause, evidence and fix.
    """

    what: str
    kinds: tuple[str, ...]
    outcome: str
    told: str

    @property
    def cause(self) -> str:
        """The first line of what is told."""
        return self.told.partition("\n")[0]

    @property
    def line(self) -> str:
        """What was done and how it came out, in one line."""
        return ": ".join(filter(None, [", ".join(self.kinds), self.cause]))


def stopped(plan: Plan) -> list[list[str]]:
    """Return what of a plan is blocked or broken, small enough for an XCom: kind, what, why and fix."""
    found = [change for change in plan.changes if change.kind in STOPPED]
    told = [
        [one.kind.value, one.what, one.why[:WHY_CHARACTERS] + (f"\n  fix: {one.fix[:WHY_CHARACTERS]}" * bool(one.fix))]
        for one in sorted(found, key=lambda one: one.kind is not Kind.BROKEN)
    ]
    if (more := len(told) - STOPPED_TOLD) > 0:
        told[STOPPED_TOLD:] = [[told[STOPPED_TOLD][0], f"and {more} more", "read the log of task plan"]]
    return told


def work(plan: Plan, *, prune: bool) -> dict[str, int]:
    """Return how many changes a run would make, by kind; orphans are deleted with `prune` alone, as ``delete``."""
    counts = {kind: count for kind, count in plan.counts.items() if Kind(kind) not in (*STOPPED, Kind.ORPHAN)}
    orphans = len(plan.of_kind(Kind.ORPHAN))
    return counts | ({"delete": orphans} if prune and orphans else {})


def orphans(plan: Plan, *, prune: bool) -> str:
    """Return what becomes of the orphans, with their names; empty if there are none."""
    found = plan.of_kind(Kind.ORPHAN)
    if not found:
        return ""
    names = list(dict.fromkeys(f"{one.what}{' (adopted)' if one.differences else ''}" for one in found))
    one, them = ("1 orphan", "it") if len(names) == 1 else (f"{len(names)} orphans", "them")
    adopted = "; adopted models stay and lose our mark" if any(change.differences for change in found) else ""
    told = _some(names)
    if prune:
        return f"Parameter prune is on: applying this deletes {one}{adopted}: {told}"
    stay = "stays" if them == "it" else "stay"
    return f"{one} {stay}, because only a run with parameter prune deletes {them}{adopted}: {told}"


def rows(
    stages: Iterable[tuple[Iterable[Approved], Iterable[Mapping[str, Any]]]], stopped: Iterable[Sequence[str]]
) -> list[Row]:
    """Return a row for everything that was to be done, and for what could not be planned; attention comes first.

    :param stages: of each what was approved, and the results of what was tried (`Applied.as_dict`).
    :param stopped: as the function of that name returns it.
    """
    found = [Row(what, (), kind, why) for kind, what, why in stopped]
    for approved, results in stages:
        done = {one.what: one for one in map(Applied.of_dict, results)}
        for one in approved:
            found.append(_row(one, done.get(one.what)))
    return sorted(found, key=lambda row: ((*ATTENTION, *QUIET).index(row.outcome), row.what))


def table(all_rows: Sequence[Row], unchanged: int, not_applied: str = "") -> str:
    """Return the table for a person.

    :param unchanged: how many blueprints nothing was to be done for.
    :param not_applied: what was planned, if nothing of it was applied: ``1 to create``.
    """
    told = [f"{count} {one}" for one in (*QUIET[:1], *ATTENTION) if (count := counts(all_rows).get(one))]
    as_planned = unchanged + counts(all_rows).get(Outcome.UNCHANGED.value, 0)
    parts = [f"not applied: {not_applied}" if not_applied else "", ", ".join(told)]
    lines = [f"{'; '.join(filter(None, parts)) or 'nothing to do'}; {as_planned} unchanged"]
    attention = [row for row in all_rows if row.outcome in ATTENTION]
    quiet: dict[tuple[Any, ...], list[Row]] = {}
    for row in all_rows:
        if row.outcome in QUIET:
            quiet.setdefault((row.outcome, row.kinds), []).append(row)
    singles = [row for equal in quiet.values() if len(equal) < TOGETHER for row in equal]
    width = min(max((len(row.what) for row in (*attention, *singles)), default=0), 40)
    lines += [f"  {row.what:<{width}}  {row.outcome:<14}  {row.line}" for row in (*attention, *singles)]
    for (outcome, kinds), equal in quiet.items():
        if len(equal) >= TOGETHER:
            lines.append(f"  {outcome} ({', '.join(kinds)}): {_some([row.what for row in equal])}")
    return "\n".join(lines)


def causes(all_rows: Iterable[Row]) -> str:
    """Return cause, evidence and fix of everything that failed."""
    return "\n".join(f"{row.what}: {row.told}" for row in all_rows if row.outcome in FAILING)


def counts(all_rows: Iterable[Row]) -> dict[str, int]:
    """Return how many rows have which outcome."""
    found: dict[str, int] = {}
    for row in all_rows:
        found[row.outcome] = found.get(row.outcome, 0) + 1
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return f"{', '.join(names[:NAMES])}{more}"


def _row(approved: Approved, result: Applied | None) -> Row:
    if result is None:
        return Row(approved.what, approved.kinds, Outcome.FAILED.value, NO_WORD)
    return Row(approved.what, result.kinds or approved.kinds, result.outcome.value, result.told)
