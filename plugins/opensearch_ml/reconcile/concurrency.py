"""Several calls at once, each with an end of its own: what one raises is its result, and stops no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any


def each(
    calls: Mapping[str, Callable[[], Any]],
    at_once: int,
    then: Callable[[str, Any], None] = lambda name, result: None,
) -> dict[str, Any]:
    """Call several, and return what each returned, or the exception that it raised.

    :param calls: by name; begun in their order.
    :param then: called in this thread, with the name and the result, as each ends.
    """
    results: dict[str, Any] = {}
    if not calls:
        return results
    pool = ThreadPoolExecutor(max_workers=min(at_once, len(calls)), thread_name_prefix="fleet")
    try:
        running: dict[Future[Any], str] = {pool.submit(call): name for name, call in calls.items()}
        for future in as_completed(running):
            name = running[future]
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            results[name] = error if error is not None else future.result()
            then(name, results[name])
    finally:
        # If this thread is told to stop, those that have not begun never do.
        pool.shutdown(wait=False, cancel_futures=True)
    return {name: results[name] for name in calls}
