"""What stands for a cluster and for a task instance where only their answers matter."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from airflow.sdk import Context

from opensearch_ml.client.documents import ModelDoc, TaskDoc
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.hook import OpenSearchMLHook

MODEL, TASK = "model-1", "task-1"
WHY = '{"node-a": "Failed to find connector:gone"}'  # a deploy task's error, as the server writes it


def as_hook(double: object) -> OpenSearchMLHook:
    """The double of a cluster, to what takes a hook."""
    return cast("OpenSearchMLHook", double)


def as_context(told: Mapping[str, object]) -> Context:
    """A task's context that holds only what is looked at."""
    return cast("Context", told)


@dataclass
class ClusterDouble:
    """Stands for a hook on a cluster that holds one model and its deploy task.

    :param model: the model's state, one for each look; the last one stays. An error is raised instead.
    :param task: the task's state, one for each look; None is a task that is not found.
    :param error: the task's own ``error``.
    :param answer_s: seconds that the server takes to tell the model's state.
    """

    model: list[str | OpenSearchMLError] = field(default_factory=lambda: ["DEPLOYED"])
    task: list[str | None] = field(default_factory=lambda: ["COMPLETED"])
    error: str | None = None
    answer_s: float = 0.0
    looks: int = 0
    aws: None = None  # a login, so that nobody can be asked why something is refused

    def get_task(self, task_id: str) -> TaskDoc | None:
        state = self.task[min(self.looks, len(self.task) - 1)]
        return cast(TaskDoc, {"id": task_id, "state": state, "error": self.error}) if state else None

    def get_model(self, model_id: str) -> ModelDoc | None:
        time.sleep(self.answer_s)
        state = self.model[min(self.looks, len(self.model) - 1)]
        self.looks += 1
        if isinstance(state, OpenSearchMLError):
            raise state
        return {"id": model_id, "model_state": state, "current_worker_node_count": 1, "planning_worker_node_count": 2}

    def search_tasks(self, query: Mapping[str, object]) -> list[TaskDoc]:
        return [{"id": TASK}]


@dataclass
class TaskInstanceDouble:
    """Stands for a task instance, and the XComs of its run by task and key."""

    xcoms: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    try_number: int = 1
    dag_id: str = "rotation"
    run_id: str = "manual"
    task_id: str = "rotate"
    map_index: int = 3

    def xcom_pull(self, task_ids: Sequence[str] | str, key: str, include_prior_dates: bool = False) -> Any:
        if isinstance(task_ids, str):
            return self.xcoms.get((task_ids, key), [None])[-1]
        return self.xcoms.get((task_ids[0], key), [None])

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms.setdefault((self.task_id, key), []).append(value)
