"""When rotations run: daily, as often as sessions need it, and at the real due time of the next one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.rotation.schedule import DAILY, HOURS, MINUTES, cron, next_run, schedule_of

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
SESSION = "rotation: {{source: assume_role, role_arn: 'arn:aws:iam::123456789012:role/models'{more}}}\n"


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def catalog(tmp_path: Path, **texts: str) -> Catalog:
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return Catalog(tmp_path, tmp_path / "targets")


def test_without_sessions_it_is_daily(tmp_path: Path) -> None:
    assert schedule_of(catalog(tmp_path)) == DAILY
    assert schedule_of(catalog(tmp_path, chat="rotation: {source: secrets_manager}  # no assume_role")) == DAILY
    assert schedule_of(Catalog(tmp_path / "missing", tmp_path)) == DAILY


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", "*/15 * * * *"),  # an hour, half of it to spare
        (", duration_s: 900", "*/3 * * * *"),
        (", duration_s: 900, refresh_at: 0.9", "*/1 * * * *"),
        (", duration_s: 43200", "0 */3 * * *"),
        (", duration_s: 43200, refresh_at: 0.1", "0 */4 * * *"),
        (", duration_s: '${variables.duration}'", "*/15 * * * *"),  # known for a target alone: the default
    ],
)
def test_a_session_is_looked_at_before_half_of_the_spare_time_is_gone(tmp_path: Path, more: str, expected: str) -> None:
    assert schedule_of(catalog(tmp_path, chat=SESSION.format(more=more))) == expected


def test_the_shortest_session_decides(tmp_path: Path) -> None:
    both = catalog(tmp_path, one=SESSION.format(more=""), two=SESSION.format(more=", duration_s: 1200"))
    assert schedule_of(both) == "*/5 * * * *"


@pytest.mark.parametrize(
    "text",
    [
        "assume_role: [",
        "- assume_role",
        "rotation: assume_role",
        SESSION.format(more=", duration_s: 5"),
        "\x00assume_role",
    ],
)
def test_a_file_with_findings_changes_nothing_for_the_others(tmp_path: Path, text: str) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"assume_role \xff\xfe")
    assert schedule_of(catalog(tmp_path, broken=text)) == DAILY
    assert schedule_of(catalog(tmp_path, broken=text, good=SESSION.format(more=""))) == "*/15 * * * *"


@pytest.mark.parametrize("period", range(1, 24 * 60, 37))
def test_no_two_looks_are_further_apart_than_the_period(period: int) -> None:
    minute, hour, *_ = cron(timedelta(minutes=period)).split()
    # Both divide an hour or a day, so that the last gap of it is no longer than the others.
    if hour == "*":
        assert int(minute.removeprefix("*/")) <= period
    else:
        assert int(hour.removeprefix("*/")) * 60 <= period
    assert not [each for each in MINUTES if 60 % each]
    assert not [each for each in HOURS if 24 % each]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], None),
        ([(None, None, False)], None),
        ([(minutes(30), minutes(60), False)], minutes(30)),
        ([(minutes(30), minutes(60), False), (minutes(20), minutes(40), False)], minutes(20)),
        ([(minutes(-5), minutes(20), False)], minutes(1 / 6)),  # another run was busy with it
        ([(NOON + timedelta(days=40), None, False)], None),  # an access key: the schedule sees it
        ([(minutes(-5), minutes(20), True)], minutes(5)),  # failed: again when a quarter of what is left has passed
        ([(minutes(-5), minutes(0.5), True)], minutes(1 / 6)),
        ([(minutes(-50), minutes(-5), True)], None),  # dead already: the schedule tries again
        ([(None, None, True)], None),
    ],
)
def test_the_next_run_is_when_the_next_credential_is_due(
    rows: list[tuple[datetime | None, datetime | None, bool]], expected: datetime | None
) -> None:
    assert next_run(NOON, rows) == expected
