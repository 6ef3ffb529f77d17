"""What the tasks of a run leave for each other, and read what others have left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow.sdk import Context

FAILURE = "opensearch_ml_failure"
RETURNED = "return_value"  # Airflow's key of what a task returned


class Redacting(Protocol):
    """An operator that knows its secrets."""

    def redact(self, text: str) -> str:
        """Return a text without them."""


class Failure:
    """Leaves the error that ends a task for the summary: Airflow keeps it in the log alone."""

    def __init__(self, operator: Redacting, context: Context, blueprint: str) -> None:
        self.operator, self.context, self.blueprint = operator, context, blueprint

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, Exception):
            told = self.operator.redact(str(error) or type(error).__name__)
            self.context["ti"].xcom_push(key=FAILURE, value={"blueprint": self.blueprint, "told": told})


def token_of(context: Context) -> str:
    """Return what tells this task of this run from all others; a retry has the same one."""
    ti = context["ti"]
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"


def pulled(context: Context, task_id: str, key: str) -> list[Any]:
    """Return what all instances of a task left; a failed or skipped one may have left nothing."""
    found = context["ti"].xcom_pull(task_ids=[task_id], key=key)
    return [value for value in found if value is not None]


def flat(values: Iterable[Sequence[Any]]) -> list[Any]:
    """Return what is in all of them."""
    return [one for value in values for one in value]


def is_true(value: bool | str) -> bool:
    """Read what a template was rendered to: text, unless the DAG renders native objects."""
    return str(value).strip().lower() == "true"
