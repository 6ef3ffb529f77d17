"""When rotations run: daily, more often where sessions of STS end, and once more when the next one is due.

A session is replaced at its real due time: each run has Airflow start the next one then (`next_run`). The schedule is
what remains if that chain breaks, or has not begun: it looks before half of the time is gone that a refresh has left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from opensearch_ml.blueprint import loader
from opensearch_ml.blueprint.rotation import RotationSection
from opensearch_ml.catalog.catalog import Catalog, files

__all__ = ["schedule_of"]

DAILY = "17 3 * * *"  # at no full hour, when everybody's jobs start
MINUTES = (30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)
HOURS = (12, 8, 6, 4, 3, 2, 1)
HORIZON = timedelta(hours=12)  # a session lasts no longer; what is due later, the schedule sees
SOONEST = timedelta(seconds=10)  # whoever is busy with a model, or refuses, is not asked without end
SESSIONS = "assume_role"


def schedule_of(catalog: Catalog) -> str:
    """Return the cron expression for a folder of blueprints; only files that speak of sessions are parsed."""
    spare = [_spare(section) for section in _sections(catalog)]
    return cron(min(spare)) if spare else DAILY


def cron(period: timedelta) -> str:
    """Return the expression that fits a period, rounded down; never less than a minute, nor more than a day."""
    minutes = int(period.total_seconds() // 60)
    if minutes >= 24 * 60:
        return DAILY
    if minutes >= 60:
        hours = next(each for each in HOURS if each <= minutes // 60)
        return f"0 */{hours} * * *"
    return f"*/{next((each for each in MINUTES if each <= minutes), 1)} * * * *"


def next_run(now: datetime, rows: Iterable[tuple[datetime | None, datetime | None, bool]]) -> datetime | None:
    """Return when the next run must start, beside those of the schedule; None: the schedule suffices.

    :param rows: of each model: when it is due, when its credential ends, and whether this run failed to replace it. Who
        failed is tried again when a quarter of what is left has passed, as long as the credential lives.
    """
    moments = []
    for due, ends, failed in rows:
        if failed and ends and ends > now:
            moments.append(now + (ends - now) / 4)
        elif due and not failed:
            moments.append(due)
    soonest = min(moments, default=None)
    if soonest is None or soonest > now + HORIZON:
        return None
    return max(soonest, now + SOONEST)


def _sections(catalog: Catalog) -> Iterable[RotationSection]:
    for paths in files(catalog.blueprints_folder).values():
        for path in paths:
            # A file with findings is told of by whoever runs it; the schedule of the others must not depend on it.
            with suppress(OSError, UnicodeDecodeError, loader.Unreadable):
                if SESSIONS in path.read_text(encoding="utf-8"):
                    section = _section(loader.read(path).content)
                    if section and section.source == SESSIONS:
                        yield section


def _section(content: Any) -> RotationSection | None:
    written = content.get("rotation") if isinstance(content, Mapping) else None
    if not isinstance(written, Mapping):
        return None
    # What a variable fills is known for a target alone: the default stands in.
    plain = {key: value for key, value in written.items() if "${" not in str(value)}
    with suppress(ValidationError):
        return RotationSection.model_validate(plain)
    return None


def _spare(section: RotationSection) -> timedelta:
    return timedelta(seconds=section.duration_s) * (1 - section.refresh_at) / 2
