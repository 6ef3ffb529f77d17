"""What the benchmarks share: a DAG's time as its scheduler tells it, and what this process sends to the cluster."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from local.airflow_standalone import AirflowStandalone
from opensearch_ml.hook import OpenSearchMLHook


def run(airflow: AirflowStandalone, dag_id: str, conf: Mapping[str, Any]) -> float:
    """Run a DAG and return what the scheduler says it took, in seconds, from the trigger to the end."""
    finished = airflow.run(dag_id, conf)
    if finished.state != "success":
        raise SystemExit(f"{dag_id} failed: {Counter((one['task_id'], one['state']) for one in finished.tasks())}")
    told = finished.details()
    queued, end = (datetime.fromisoformat(told[key]) for key in ("queued_at", "end_date"))
    return (end - queued).total_seconds()


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count what this process sends to the cluster, by the client's method."""
    counts: Counter[str] = Counter()
    send = OpenSearchMLHook._send

    def count(hook: OpenSearchMLHook, call: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        counts[call.__name__] += 1
        return send(hook, call, arguments)

    with patch.object(OpenSearchMLHook, "_send", count):
        yield counts
