"""What is noted about a user's keys: it survives being written, and never makes another's key ours."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from opensearch_ml.rotation.sources.key_notes import (
    TAG_LENGTH,
    WINDOW,
    Intent,
    Key,
    KeyNotes,
    Off,
    key_of,
    mark_of,
    tag_name,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
ONE, TWO, THREE = "AKIA" + "A" * 16, "AKIA" + "B" * 16, "AKIA" + "C" * 16
EVERY = [
    KeyNotes(),
    KeyNotes((ONE,)),
    KeyNotes((ONE, TWO)),
    KeyNotes((), Intent(NOON, ())),
    KeyNotes((ONE,), Intent(NOON, (ONE, TWO))),
    KeyNotes((ONE, TWO), None, Off(ONE, NOON)),
    KeyNotes((ONE, TWO), Intent(NOON, (ONE, TWO)), Off(ONE, NOON, verified=True)),
]


def key(key_id: str, *, after_s: float = 0, active: bool = True) -> Key:
    return Key(key_id, active, NOON + timedelta(seconds=after_s))


@pytest.mark.parametrize("notes", EVERY)
def test_notes_survive_being_written(notes: KeyNotes) -> None:
    assert KeyNotes.parse(str(notes)) == notes


@pytest.mark.parametrize("notes", EVERY)
def test_iam_takes_them_as_a_tags_value(notes: KeyNotes) -> None:
    assert len(str(notes)) <= 256
    assert set(str(notes)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _.:/=+-@")


@pytest.mark.parametrize(
    "text",
    [None, "", "made", "made:", "made:not a key", f"{ONE}", f"made:{ONE};{TWO}", f"made:{ONE} off:{ONE}/yesterday/x"],
)
def test_what_others_have_written_makes_no_key_ours(text: str | None) -> None:
    assert KeyNotes.parse(text) == KeyNotes()


@pytest.mark.parametrize(
    ("made", "meant"),
    [
        ([key(ONE)], []),  # was there before
        ([key(ONE), key(TWO, after_s=1)], [TWO]),
        ([key(TWO, after_s=-1)], [TWO]),  # both times are cut to seconds
        ([key(TWO, after_s=-60)], []),
        ([key(TWO, after_s=WINDOW.total_seconds() + 1)], []),  # somebody's, made by hand much later
        ([key(THREE, after_s=1)], []),  # noted already
    ],
)
def test_the_key_that_was_meant_is_one_made_right_after_the_intent(made: list[Key], meant: list[str]) -> None:
    notes = KeyNotes((THREE,), Intent(NOON, (ONE,)))
    assert [one.key_id for one in notes.meant(made)] == meant
    assert KeyNotes((THREE,)).meant(made) == []


def test_an_orphan_is_ours_and_no_connectors_and_not_waiting_to_be_deleted() -> None:
    keys = [key(ONE), key(TWO), key(THREE)]
    assert [one.key_id for one in KeyNotes((ONE, TWO)).orphans(keys, {ONE})] == [TWO]
    assert KeyNotes((ONE, TWO), None, Off(TWO, NOON)).orphans(keys, {ONE}) == []
    assert KeyNotes().orphans(keys, set()) == []


def test_notes_follow_what_is_made_and_deleted() -> None:
    notes = KeyNotes((ONE,), Intent(NOON, (ONE,)), Off(ONE, NOON)).with_made(TWO)
    assert notes == KeyNotes((ONE, TWO), None, Off(ONE, NOON))
    assert notes.without(ONE) == KeyNotes((TWO,))
    assert notes.without(TWO) == KeyNotes((ONE,), None, Off(ONE, NOON))


@pytest.mark.parametrize("mark", [None, "", "scrypt-v1:a:b", "iam_user_key:", "iam_user_key:a key", ONE])
def test_a_mark_of_something_else_names_no_key(mark: str | None) -> None:
    assert key_of(mark) is None


def test_a_mark_names_its_key() -> None:
    assert key_of(mark_of(ONE)) == ONE


def test_tags_of_clusters_and_blueprints_are_told_apart_whatever_their_length() -> None:
    names = {tag_name(cluster, name) for cluster in ("a", "b") for name in ("one", "two", "x" * 127, "x" * 126 + "y")}
    assert len(names) == 8
    assert all(len(name) <= TAG_LENGTH for name in names)
