"""The mark of a connector that signs with a session of STS: whose it is, since when and until when; never its keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

FORM = re.compile(
    r"assume_role:(?P<role_arn>arn:[^\s]+?):(?P<since>\d{4}-\d\d-\d\dT[\d:.]+Z)/(?P<until>\d{4}-[-T\d:.]+Z)"
)


@dataclass(frozen=True, slots=True)
class SessionLabel:
    """One session.

    :param since: when it was issued; by the clock of who asked for it.
    :param until: when it ends, as STS says it.
    """

    role_arn: str
    since: datetime
    until: datetime

    @classmethod
    def parse(cls, mark: object) -> SessionLabel | None:
        """Read a mark; None if it is not one of a session: others can write anything there."""
        found = FORM.fullmatch(mark) if isinstance(mark, str) else None
        try:
            return cls(found["role_arn"], _read(found["since"]), _read(found["until"])) if found else None
        except ValueError:
            return None

    def part(self, share: float) -> datetime:
        """Return when that share of its life has passed."""
        return self.since + (self.until - self.since) * share

    def __str__(self) -> str:
        return f"assume_role:{self.role_arn}:{_written(self.since)}/{_written(self.until)}"


def _written(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
