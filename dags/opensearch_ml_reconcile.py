"""Make clusters agree with their targets: show what would change, have it approved, and apply it.

Every target that names blueprints has a group of tasks. `plan` looks at the whole cluster in a few requests and shows
what lacks or differs, like `terraform plan`. What is done about it, parameter **apply** says:

- `never`: it is told, and nothing is written. A scheduled run does this, unless the option `reconcile_apply` of section
  `[opensearch_ml]` says otherwise.
- `with approval`: task `approve` shows the plan to a person, under Required Actions, and waits a day for the answer.
- `always`: it is applied at once.

`settings` mends what all models share, `apply` goes through the blueprints in batches, `delete` takes away what is left
over. One failure stops nothing else; `summary` tells what became of everything, and fails if something failed. Models
that are on the cluster and named no more are told as orphans, and deleted only with **prune**. A plan that would delete
or change more than the limits allow fails before anything is written. A model that appeared or changed is an event of
asset `opensearch-ml://<target>/<blueprint>`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param, TaskGroup, chain
from airflow.sdk.configuration import conf

from opensearch_ml.assets import MODELS
from opensearch_ml.catalog.folders import catalog
from opensearch_ml.notifications import OpenSearchMLNotifier
from opensearch_ml.operators.fleet import (
    APPLY,
    BATCHES_AT_ONCE,
    DELETIONS,
    NEVER,
    SETTINGS,
    OpenSearchAnnounceModelsOperator,
    OpenSearchApplyPlanOperator,
    OpenSearchApprovePlanOperator,
    OpenSearchPlanFleetOperator,
    group_of,
)
from opensearch_ml.operators.fleet_summary import OpenSearchSummarizeFleetOperator

HOURLY = "41 * * * *"  # at no full hour, when everybody's jobs start
POOLS = catalog().pools()
EACH = {"type": "string"} | ({"enum": list(POOLS)} if POOLS else {})  # an empty enum is no JSON Schema

with DAG(
    dag_id="opensearch_ml_reconcile",
    description="Clusters agree with their targets: plan, approve, apply",
    doc_md=__doc__,
    # Without a start date the first run is the next one of the schedule: reading this file starts nothing.
    schedule=CronTriggerTimetable(conf.get("opensearch_ml", "reconcile_schedule", fallback=HOURLY), timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["opensearch-ml"],
    params={
        "targets": Param(
            [],
            type=["null", "array"],
            items=EACH,
            examples=list(POOLS),
            title="Targets",
            description="None chosen: every target that names blueprints",
        ),
        "apply": Param(
            conf.get("opensearch_ml", "reconcile_apply", fallback=NEVER),
            type="string",
            enum=list(APPLY),
            title="Apply",
            description="never: plan and report",
        ),
        "prune": Param(
            False,
            type="boolean",
            title="Prune",
            description="Delete the models and connectors of ours that no blueprint of the target wants any more",
        ),
        "max_deletions": Param(
            10, type="integer", minimum=0, title="Deletions", description="More would stop the run before any write"
        ),
        "max_change_percent": Param(
            30,
            type="number",
            minimum=0,
            maximum=100,
            title="Changes, in % of the models that stand",
            description="More, and more than five, would stop the run before any write; what is created or deployed "
            "again is not counted",
        ),
        "batch_size": Param(25, type="integer", minimum=1, title="Blueprints in one mapped task"),
    },
    # After 5, 10, 20 and 40 s: together longer than a node, or Airflow's API server, takes to start again.
    default_args={"retries": 4, "retry_delay": timedelta(seconds=5), "retry_exponential_backoff": 2.0},
):
    MODE = "{{ params.apply }}"

    for target, pool in POOLS.items():
        with TaskGroup(group_of(target), default_args={"target": target, "pool": pool}):
            plan = OpenSearchPlanFleetOperator(
                task_id="plan",
                targets="{{ (params.targets or []) | join(',') }}",
                apply=MODE,
                prune="{{ params.prune }}",
                max_deletions="{{ params.max_deletions }}",
                max_change_percent="{{ params.max_change_percent }}",
                batch_size="{{ params.batch_size }}",
            )
            approve = OpenSearchApprovePlanOperator(task_id="approve", plan_task_id=plan.task_id, apply=MODE)
            settings = OpenSearchApplyPlanOperator(
                task_id="settings", approved=plan.output[SETTINGS], approve_task_id=approve.task_id
            )
            # What could not be done in one stage keeps the next ones from nothing; without an approval they do nothing.
            apply = OpenSearchApplyPlanOperator.partial(
                task_id="apply",
                target=target,
                approve_task_id=approve.task_id,
                map_index_template="{{ task.names }}",
                max_active_tis_per_dagrun=BATCHES_AT_ONCE,
                trigger_rule="all_done",
            ).expand(approved=plan.output)
            announce = OpenSearchAnnounceModelsOperator(
                task_id="announce", apply_task_id=apply.task_id, trigger_rule="all_done", outlets=[MODELS]
            )
            delete = OpenSearchApplyPlanOperator(
                task_id="delete",
                approved=plan.output[DELETIONS],
                approve_task_id=approve.task_id,
                trigger_rule="all_done",
            )
            summary = OpenSearchSummarizeFleetOperator(
                task_id="summary",
                plan_task_id=plan.task_id,
                approve_task_id=approve.task_id,
                settings_task_id=settings.task_id,
                apply_task_id=apply.task_id,
                delete_task_id=delete.task_id,
                trigger_rule="all_done",
                on_failure_callback=OpenSearchMLNotifier(),
            )
            chain(plan, approve, settings, apply, [announce, delete], summary)
            # Whoever decides that nothing is applied skips those that hang on him directly: all but the summary.
            for decides in (plan, approve):
                decides >> [settings, apply, announce, delete]
