"""A SageMaker model on a domain of Amazon OpenSearch Service, and an ingest pipeline that embeds with it, every day.

Copy it into your dags folder and change the names below; README.md says what stands in the connections. The first run
makes everything. Every other one notices what somebody has changed by hand: it puts back what was taken away from the
role, the mapping or the trusted endpoints, fails where that would touch a connector in use, and writes nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, chain, task

from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators.cluster import (
    OpenSearchAddTrustedEndpointsOperator,
    OpenSearchMapRoleOperator,
    OpenSearchUpdateMLSettingsOperator,
)
from opensearch_ml.operators.connector import OpenSearchCreateConnectorOperator
from opensearch_ml.operators.iam_role import OpenSearchCreateIamRoleOperator
from opensearch_ml.operators.model import (
    OpenSearchCreateModelGroupOperator,
    OpenSearchDeployModelOperator,
    OpenSearchPredictOperator,
    OpenSearchRegisterModelOperator,
)
from opensearch_ml.operators.preflight import OpenSearchPreflightOperator
from opensearch_ml.sensors import OpenSearchDeployTaskSensor

BLUEPRINT = "sagemaker_embedding"  # or bedrock_titan_embedding, or one of your own
DOMAIN = "opensearch_domain"  # {"domain_arn": …, "aws_conn_id": …}: every request is signed
MASTER = "opensearch_master"  # writes settings, role mappings, trusted endpoints and pipelines
ROLE_MAKER = "aws_iam"  # makes the role that the domain assumes; may be the connection that signs
PIPELINE = "embed-text"

with DAG(
    dag_id="amazon_opensearch_domain",
    description="SageMaker embeddings on our domain",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,  # settings, mappings and trusted endpoints are lists without a version
    tags=["opensearch-ml"],
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        # Each operator takes those that it knows.
        "blueprint": BLUEPRINT,
        "opensearch_conn_id": DOMAIN,
        "opensearch_admin_conn_id": MASTER,
        "aws_conn_id": ROLE_MAKER,
    },
):
    connector = OpenSearchCreateConnectorOperator(task_id="connector")
    model_group = OpenSearchCreateModelGroupOperator(task_id="model_group")
    model = OpenSearchRegisterModelOperator(
        task_id="model", connector_id=connector.output, model_group_id=model_group.output
    )
    deploy = OpenSearchDeployModelOperator(task_id="deploy", model_id=model.output)
    answers = OpenSearchPredictOperator(task_id="answers", model_id=model.output)

    @task
    def ingest_pipeline(model_id: str) -> None:
        """Embed the field text of every document; any DAG of yours may take the id like this."""
        embed = {"text_embedding": {"model_id": model_id, "field_map": {"text": "embedding"}}}
        OpenSearchMLHook(MASTER).client.ingest.put_pipeline(id=PIPELINE, body={"processors": [embed]})

    chain(
        OpenSearchPreflightOperator(task_id="preflight"),
        OpenSearchCreateIamRoleOperator(task_id="iam_role"),
        OpenSearchUpdateMLSettingsOperator(task_id="ml_settings"),
        OpenSearchMapRoleOperator(task_id="role_mapping"),
        OpenSearchAddTrustedEndpointsOperator(task_id="trusted_endpoints"),
        connector,
        model_group,
        model,
        deploy,
        OpenSearchDeployTaskSensor(task_id="deployed", model_id=model.output, deploy_task_id=deploy.output),
        answers,
        ingest_pipeline(answers.output),
    )
