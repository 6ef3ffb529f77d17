"""What became of all models of a run: told as a table, and which credentials are about to end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

OUTCOMES = ("failed", "busy", "rotated", "unchanged")


@dataclass(frozen=True, slots=True)
class Row:
    """One model.

    :param outcome: one of `OUTCOMES`.
    :param told: what was done, or cause, evidence and fix.
    :param due: when the next rotation must happen; None: not by time.
    :param ends: when the credential that served before this run stops working by itself.
    """

    blueprint: str
    outcome: str
    told: str = ""
    due: datetime | None = None
    ends: datetime | None = None

    @property
    def is_still(self) -> bool:
        """Whether nothing was to do, and nothing is to be told."""
        return self.outcome == "unchanged" and not self.told

    @property
    def cause(self) -> str:
        """The first line of what is told."""
        return self.told.partition("\n")[0]


def rows(
    standings: Iterable[Mapping[str, Any]],
    mapped: Iterable[str],
    records: Sequence[Mapping[str, Any]],
    failures: Sequence[Mapping[str, Any]],
) -> list[Row]:
    """Return a row for each model.

    :param standings: as the run found them (`selection.Standing.as_dict`).
    :param mapped: names of the blueprints that were to be rotated.
    :param records: of the rotations that ended well (`record.RotationRecord.as_dict`).
    :param failures: ``{"blueprint", "told"}`` of those that did not.
    """
    done = {record["blueprint"]: record for record in records}
    failed = {failure["blueprint"]: failure["told"] for failure in failures}
    wanted, found = set(mapped), {standing["blueprint"]: standing for standing in standings}
    return [
        _row(name, found.get(name, {}), name in wanted, done.get(name), failed.get(name))
        for name in sorted(wanted | found.keys())
    ]


def table(all_rows: Sequence[Row]) -> str:
    """Return the table for a person: who needs attention first; those without a change in one line."""
    counts = ", ".join(f"{sum(row.outcome == one for row in all_rows)} {one}" for one in reversed(OUTCOMES))
    lines = [f"{len(all_rows)} models: {counts}"]
    width = max((len(row.blueprint) for row in all_rows), default=0)
    for outcome in OUTCOMES:
        for row in all_rows:
            if row.outcome == outcome and not row.is_still:
                due = f"; next due {_moment(row.due)}" if row.due else ""
                lines.append(f"  {row.blueprint:<{width}}  {outcome:<9}  {row.cause}{due}")
    if same := [row.blueprint for row in all_rows if row.is_still]:
        lines.append(f"  unchanged: {', '.join(same)}")
    if dues := [row.due for row in all_rows if row.due]:
        lines.append(f"  next due: {_moment(min(dues))}")
    return "\n".join(lines)


def endangered(all_rows: Iterable[Row]) -> list[Row]:
    """Return the models whose credential ends by itself and was not replaced although it was due."""
    return [row for row in all_rows if row.ends and row.outcome in ("failed", "busy")]


def moment(text: str | None) -> datetime | None:
    """Read a time as an XCom has it."""
    return datetime.fromisoformat(text) if text else None


def _row(
    name: str, standing: Mapping[str, Any], mapped: bool, record: Mapping[str, Any] | None, failure: str | None
) -> Row:
    due, ends = moment(standing.get("due")), moment(standing.get("ends"))
    if not mapped:
        return Row(name, "unchanged", due=due, ends=ends)
    if record is None:
        return Row(name, "failed", failure or "its task ended without a word: read the task's log", ends=ends)
    return Row(name, record["outcome"], _done(record), moment(record["next_due"]), ends)


def _done(record: Mapping[str, Any]) -> str:
    told = [*record["details"]]
    if record["outcome"] == "rotated":
        told = [", ".join(record["why"]), f"{record['new_connector'] or 'its internal connector'} serves", *told]
    return "; ".join(told)


def _moment(at: datetime | None) -> str:
    return at.isoformat(sep=" ", timespec="minutes") if at else ""
