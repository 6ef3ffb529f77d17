"""The operator that ends a reconciliation: it tells what became of everything, and whom it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from opensearch_ml import notifications
from opensearch_ml.operators.fleet import (
    ALWAYS,
    APPROVED,
    DELETIONS,
    NEVER,
    NOT_ASKED,
    PLANNED,
    RESULTS,
    SETTINGS,
    WITH_APPROVAL,
    OpenSearchFleetOperator,
    rejected,
)
from opensearch_ml.operators.handover import FAILURE, RETURNED, flat, pulled
from opensearch_ml.reconcile import render, report
from opensearch_ml.reconcile.approval import Approved

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["OpenSearchSummarizeFleetOperator"]

DRIFT = "opensearch_ml_drift"
NOT_APPLIED = "not applied"


class OpenSearchSummarizeFleetOperator(OpenSearchFleetOperator):
    """Tell what became of everything that the plan names; fail if something failed or could not be planned.

    What a scheduled run finds and does not apply is told the notifiers too, and by the next one only if it has changed.

    :param target: the target's name: its file's stem (templated).
    :param plan_task_id: task of `OpenSearchPlanFleetOperator` (templated).
    :param approve_task_id: task of `OpenSearchApprovePlanOperator` (templated).
    :param settings_task_id: task of `OpenSearchApplyPlanOperator` for what all models share (templated).
    :param apply_task_id: its mapped task for the blueprints (templated).
    :param delete_task_id: its task for what is deleted (templated).
    :return: how many had which outcome, and how many changes were not applied.
    """

    template_fields: Sequence[str] = (
        *("plan_task_id", "approve_task_id", "settings_task_id", "apply_task_id", "delete_task_id"),
        *OpenSearchFleetOperator.template_fields,
    )
    ui_color = "#e8f0f2"

    def __init__(
        self,
        *,
        plan_task_id: str,
        approve_task_id: str,
        settings_task_id: str,
        apply_task_id: str,
        delete_task_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan_task_id, self.approve_task_id = plan_task_id, approve_task_id
        self.settings_task_id, self.apply_task_id, self.delete_task_id = settings_task_id, apply_task_id, delete_task_id

    def execute(self, context: Context) -> dict[str, int]:
        if refused := pulled(context, self.plan_task_id, FAILURE):
            raise AirflowFailException(f"{self.target}: {refused[0]['told']}")
        left = pulled(context, self.plan_task_id, PLANNED)
        if not left:
            raise AirflowFailException(f"{self.target}: there is no plan: read the log of task {self.plan_task_id}")
        planned = left[0]
        if planned == NOT_ASKED:
            raise AirflowSkipException("the run is for other targets")
        answers = pulled(context, self.approve_task_id, APPROVED)
        is_applied = bool(answers) and answers[0]["approved"]
        rows = report.rows(self._stages(context) if is_applied else (), planned["stopped"])
        work = {} if is_applied else planned["work"]
        table = report.table(rows, planned["unchanged"], render.counted(work))
        told = "\n".join([f"{self.target}: {table}", *_not_applied(planned, answers, bool(work))])
        self._tell_of_drift(context, planned, told if work and not answers else "")
        self.log.info("%s", told)
        if any(row.outcome in report.FAILING for row in rows):
            raise AirflowFailException("\n".join(filter(None, [told, report.causes(rows), *self._failures(context)])))
        return report.counts(rows) | ({NOT_APPLIED: sum(work.values())} if work else {})

    def _stages(self, context: Context) -> list[tuple[list[Approved], list[dict[str, Any]]]]:
        stages = [
            (flat(pulled(context, self.plan_task_id, SETTINGS)), self.settings_task_id),
            (flat(flat(pulled(context, self.plan_task_id, RETURNED))), self.apply_task_id),
            (flat(pulled(context, self.plan_task_id, DELETIONS)), self.delete_task_id),
        ]
        return [
            ([Approved.of_list(one) for one in asked], flat(pulled(context, task_id, RESULTS)))
            for asked, task_id in stages
        ]

    def _failures(self, context: Context) -> list[str]:
        tasks = (self.settings_task_id, self.apply_task_id, self.delete_task_id)
        return [one["told"] for task_id in tasks for one in pulled(context, task_id, FAILURE)]

    def _tell_of_drift(self, context: Context, planned: dict[str, Any], told: str) -> None:
        ti = context["ti"]
        if context["dag_run"].run_type != "scheduled":
            return  # who starts a run by hand reads what it tells
        last = ti.xcom_pull(task_ids=ti.task_id, key=DRIFT, include_prior_dates=True)
        ti.xcom_push(key=DRIFT, value=told)
        if told and told != last:
            notifications.tell(context, f"{self.target} is not as its blueprints say: {planned['summary']}", told)


def _not_applied(planned: Mapping[str, Any], answers: Sequence[Mapping[str, Any]], is_work: bool) -> Iterator[str]:
    """Yield the plan and why nothing of it was written, if so; and what stays in any case."""
    if is_work:
        answer = rejected(answers[0]["by"]) if answers else "not approved"
        why = f"apply: {NEVER}" if planned["apply"] == NEVER else f"the plan was {answer}"
        yield f"\n{planned['text']}\n\nNothing was written ({why})."
        if planned["refusal"]:
            yield f"A run that applies it would stop too: {planned['refusal']}."
        elif planned["apply"] == NEVER:
            yield f"To have it applied, start the DAG with apply: {WITH_APPROVAL}, or {ALWAYS}."
    if planned["orphans"]:
        yield f"{planned['orphans']}."
