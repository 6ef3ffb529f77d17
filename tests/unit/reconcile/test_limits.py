"""A plan that is too much is told with what it is, and a few changes never are."""

from __future__ import annotations

import pytest

from opensearch_ml.reconcile.limits import Limits, too_much
from opensearch_ml.resources.changes import Change, Kind, Plan


def of(kind: Kind, count: int, *, models: bool = True) -> list[Change]:
    return [Change(kind, f"{kind.value}_{index}", models=("m",) * models) for index in range(count)]


def plan(*changes: Change, standing: int = 100) -> Plan:
    return Plan("production", 100, changes, (), standing)


@pytest.mark.parametrize(
    ("changes", "prune", "words"),
    [
        ([], True, None),
        (of(Kind.SWAP, 30), False, None),
        (of(Kind.SWAP, 31), False, "31 of 100 models on production would change, 31 %, more than the 30 % that"),
        ([*of(Kind.SWAP, 16), *of(Kind.UPDATE, 15)], False, "31 of 100"),
        (of(Kind.CREATE, 500, models=False), False, None),
        (of(Kind.CREATE, 31), False, "31 of 100"),
        (of(Kind.ORPHAN, 50), False, None),
        (of(Kind.ORPHAN, 10), True, None),
        (of(Kind.ORPHAN, 11), True, "11 orphans on production would be deleted, more than the 10 that max_deletions"),
        ([*of(Kind.BLOCKED, 50), *of(Kind.BROKEN, 50), *of(Kind.SETTINGS, 50), *of(Kind.CLEAN, 50)], True, None),
    ],
)
def test_too_much_is_told_with_what_it_is(changes: list[Change], prune: bool, words: str | None) -> None:
    error = too_much(plan(*changes), Limits(), prune=prune)
    assert (error is None) is (words is None)
    if error and words:
        assert words in error.cause
        assert error.cause.endswith("a run stops before it writes anything")
        assert changes[0].what in error.evidence
        assert error.fix


def test_a_few_changes_are_never_too_much() -> None:
    assert too_much(plan(*of(Kind.SWAP, 5), standing=5), Limits(), prune=False) is None
    assert too_much(plan(*of(Kind.SWAP, 6), standing=6), Limits(), prune=False) is not None
    assert too_much(plan(*of(Kind.SWAP, 1), standing=5), Limits(always=0, change_percent=10), prune=False) is not None


def test_after_the_whole_cluster_restarted_all_models_may_be_deployed_again() -> None:
    assert too_much(plan(*of(Kind.REDEPLOY, 100)), Limits(), prune=False) is None


def test_several_changes_of_one_model_count_once() -> None:
    same = [Change(kind, "chat") for kind in (Kind.ADOPT, Kind.UPDATE, Kind.SWAP)]
    assert too_much(plan(*same, standing=10), Limits(always=0, change_percent=10), prune=False) is None
