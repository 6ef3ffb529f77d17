"""Of several calls at once each has its own end, and no more are under way than allowed."""

from __future__ import annotations

import time

from opensearch_ml.reconcile.concurrency import each


def test_one_failure_is_its_own_result_and_the_order_stays() -> None:
    def fails() -> None:
        raise ValueError("no")

    results = each({"a": lambda: 1, "b": fails, "c": lambda: 3}, 2)
    assert list(results) == ["a", "b", "c"]
    assert (results["a"], str(results["b"]), results["c"]) == (1, "no", 3)


def test_no_more_are_under_way_than_allowed() -> None:
    seen: list[int] = []
    now: list[int] = []

    def request() -> None:
        now.append(1)
        seen.append(len(now))
        time.sleep(0.005)
        now.pop()

    each({str(number): request for number in range(30)}, 3)
    assert max(seen) == 3
