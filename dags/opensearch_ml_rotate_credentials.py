"""Bring new credentials and changed blueprints to the models that serve, without a lost predict.

A model keeps its id. What is new is tested through a second model before it serves, and the old one is retired once
every node serves the new one; if anything fails, the old one serves. A run in which nothing is to do writes nothing.

- **Blueprints**: which; none chosen: every one that has a model on the cluster.
- **OpenSearch connection**: who uses the models; the same as for `opensearch_ml_provision`.
- **AWS connection**: who asks Secrets Manager, IAM and STS, where a blueprint's section `rotation` says so.
- **Force**: rotate although nothing differs. Only the sources `iam_user_key` and `assume_role` make another key then;
  from a connection, a variable or a secret the same one is read again. To replace a key that others may know, make a
  new one at the platform and change the connection: then no force is needed.

It runs daily, more often where sessions of STS end, and once more when the next session is due. Task `summary` fails if
a model was not rotated, with a table and each cause; it tells the notifiers that the option `notifiers` of section
`[opensearch_ml]` names. Each rotation is an event of asset `opensearch-ml://<target>/<blueprint>`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param, chain

from opensearch_ml.assets import MODELS
from opensearch_ml.catalog.folders import catalog
from opensearch_ml.notifications import OpenSearchMLNotifier
from opensearch_ml.operators.rotation import (
    OpenSearchFindRotationsOperator,
    OpenSearchPlanNextRotationOperator,
    OpenSearchRotateCredentialOperator,
    OpenSearchSummarizeRotationsOperator,
)
from opensearch_ml.rotation.schedule import schedule_of

BLUEPRINTS = catalog().blueprint_names()
EACH = {"type": "string"} | ({"enum": BLUEPRINTS} if BLUEPRINTS else {})  # an empty enum is no JSON Schema

with DAG(
    dag_id="opensearch_ml_rotate_credentials",
    description="New credentials and definitions come to serve, under traffic",
    doc_md=__doc__,
    # Without a start date the first run is the next one of the schedule: reading this file starts nothing.
    schedule=CronTriggerTimetable(schedule_of(catalog()), timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["opensearch-ml"],
    params={
        "blueprints": Param(
            [],
            type=["null", "array"],
            items=EACH,
            examples=BLUEPRINTS,
            title="Blueprints",
            description="None chosen: every blueprint that has a model on the cluster",
        ),
        "opensearch_conn_id": Param("opensearch_default", type="string", title="OpenSearch connection"),
        "opensearch_admin_conn_id": Param(
            "",
            type=["null", "string"],  # the form asks for a value of anything that is only a string
            title="OpenSearch connection of an administrator",
            description="Lets the cluster call a new URL, where a blueprint has one; empty: the connection above",
        ),
        "aws_conn_id": Param("aws_default", type="string", title="AWS connection of the sources of credentials"),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Although nothing differs; an unchanged connection gives the same key again",
        ),
    },
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=5),
        "opensearch_conn_id": "{{ params.opensearch_conn_id }}",
    },
):
    AWS = "{{ params.aws_conn_id }}"
    FORCE = "{{ params.force }}"

    find = OpenSearchFindRotationsOperator(
        task_id="find", blueprints="{{ (params.blueprints or []) | join(',') }}", force=FORCE, aws_conn_id=AWS
    )
    rotate = OpenSearchRotateCredentialOperator.partial(
        task_id="rotate",
        force=FORCE,
        aws_conn_id=AWS,
        opensearch_admin_conn_id="{{ params.opensearch_admin_conn_id or '' }}",
        map_index_template="{{ task.blueprint }}",
        max_active_tis_per_dagrun=8,  # each holds a worker for as long as calls in flight may take
        outlets=[MODELS],
    ).expand(blueprint=find.output)
    plan_next = OpenSearchPlanNextRotationOperator(task_id="plan_next", aws_conn_id=AWS, trigger_rule="all_done")
    summary = OpenSearchSummarizeRotationsOperator(
        task_id="summary", trigger_rule="all_done", on_failure_callback=OpenSearchMLNotifier()
    )
    chain(find, rotate, plan_next, summary)
