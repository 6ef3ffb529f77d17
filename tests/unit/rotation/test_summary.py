"""The table at the end of a run: every model is in it, who needs attention first."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from opensearch_ml.rotation.record import Outcome, RotationRecord
from opensearch_ml.rotation.selection import Standing
from opensearch_ml.rotation.summary import Row, endangered, rows, table

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
ONE = datetime(2026, 11, 21, 13, tzinfo=timezone.utc)


def standing(name: str, **more: Any) -> dict[str, Any]:
    return Standing(name, "m", **more).as_dict()


def record(name: str, outcome: Outcome = "rotated", **more: Any) -> dict[str, Any]:
    return RotationRecord(outcome=outcome, blueprint=name, model_id="m", source="connection", **more).as_dict()


def test_each_model_is_told_once_with_its_outcome() -> None:
    found = rows(
        [standing(name, due=NOON, ends=ONE) for name in ("a", "b", "c", "d", "e")],
        ["b", "c", "d", "e"],
        [record("b", why=("credential",), new_connector="New", next_due=ONE), record("c", "busy", details=("run x",))],
        [{"blueprint": "d", "told": "refused\n  evidence: 401\n  fix: correct it"}],
    )
    assert found == [
        Row("a", "unchanged", due=NOON, ends=ONE),
        Row("b", "rotated", "credential; New serves", ONE, ONE),
        Row("c", "busy", "run x", None, ONE),
        Row("d", "failed", "refused\n  evidence: 401\n  fix: correct it", None, ONE),
        Row("e", "failed", "its task ended without a word: read the task's log", None, ONE),
    ]
    assert [row.blueprint for row in endangered(found)] == ["c", "d", "e"]


def test_the_table_names_who_needs_attention_first_and_the_others_in_one_line() -> None:
    told = table(
        [
            Row("a", "unchanged"),
            Row("b", "rotated", "credential; New serves", ONE),
            Row("chat", "failed", "refused\n  evidence: 401", None, ONE),
            Row("d", "unchanged", due=NOON),
        ]
    )
    assert told.splitlines() == [
        "4 models: 2 unchanged, 1 rotated, 0 busy, 1 failed",
        "  chat  failed     refused",
        "  b     rotated    credential; New serves; next due 2026-11-21 13:00+00:00",
        "  unchanged: a, d",
        "  next due: 2026-11-21 12:00+00:00",
    ]


def test_what_was_left_is_told_of_a_rotated_and_of_an_unchanged_model_too() -> None:
    used = "Old is used by model m2, so its credential was not retired"
    found = rows(
        [standing("a"), standing("b"), standing("c")],
        ["a", "b"],
        [
            record("a", why=("credential",), new_connector="New", details=(used,)),
            record("b", "unchanged", details=("connector Old left: used by model m2",)),
        ],
        [],
    )
    assert table(found).splitlines()[1:] == [
        f"  a  rotated    credential; New serves; {used}",
        "  b  unchanged  connector Old left: used by model m2",
        "  unchanged: c",
    ]


def test_no_model_is_told_too() -> None:
    assert table([]) == "0 models: 0 unchanged, 0 rotated, 0 busy, 0 failed"
    assert endangered([Row("a", "failed"), Row("b", "unchanged", ends=ONE)]) == []


def test_a_model_that_was_named_and_has_no_standing_is_in_it() -> None:
    assert rows([], ["a"], [record("a", "unchanged")], []) == [Row("a", "unchanged")]
