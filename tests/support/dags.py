"""What tests ask of a DAG that Airflow gives without types."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator


def tasks_in_order(dag: DAG) -> list[str]:
    """The tasks' names, in the order in which they may run."""
    in_order: Callable[[], Iterable[BaseOperator]] = dag.topological_sort
    return [task.task_id for task in in_order()]
