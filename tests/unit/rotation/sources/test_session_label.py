"""The mark of a session: whose, since when and until when; and nothing that others write there is taken for one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from opensearch_ml.rotation.sources.session_label import SessionLabel

NOON = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=timezone.utc)
ROLE = "arn:aws:iam::111122223333:role/path/models"


@pytest.mark.parametrize("role_arn", [ROLE, "arn:aws-cn:iam::111122223333:role/a+b=c,d.e@f-g"])
def test_a_mark_survives_being_written(role_arn: str) -> None:
    mark = SessionLabel(role_arn, NOON, NOON + timedelta(hours=1))
    assert SessionLabel.parse(str(mark)) == mark


def test_a_mark_is_readable() -> None:
    mark = SessionLabel(ROLE, NOON, NOON + timedelta(hours=1))
    assert str(mark) == f"assume_role:{ROLE}:2026-11-21T12:00:00.250Z/2026-11-21T13:00:00.250Z"


@pytest.mark.parametrize(
    "mark",
    [
        None,
        7,
        "",
        "claimed",
        "scrypt-v1:a:b",
        f"assume_role:{ROLE}",
        f"assume_role:{ROLE}:2026-11-21T12:00:00Z",
        f"assume_role:{ROLE}:2026-13-21T12:00:00Z/2026-13-21T13:00:00Z",
        f"assume_role:{ROLE}:2026-11-21T12:00:00Z/soon",
    ],
)
def test_what_is_no_mark_of_a_session_is_none(mark: object) -> None:
    assert SessionLabel.parse(mark) is None


def test_a_part_of_its_life() -> None:
    mark = SessionLabel(ROLE, NOON, NOON + timedelta(hours=1))
    assert mark.part(0.5) == NOON + timedelta(minutes=30)
