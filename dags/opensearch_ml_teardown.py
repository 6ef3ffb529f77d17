"""Take away what was made for one blueprint, in the order that breaks nothing else.

Deletes only what we own: what others use, share or made by hand stays, and the log says so. Of the connector's IAM role
goes what carries our mark. Cluster settings and role mappings stay as they are.

- **OpenSearch connection**: the one that the blueprint was provisioned with; a domain's is found by its extra.
- **OpenSearch connection of an administrator**: who removes trusted endpoints, if not the same. It may stay empty.
- **AWS connection**: who takes back what the connector's IAM role was given, or the access keys that were made for an
  IAM user; not used by other blueprints.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, chain

from opensearch_ml.catalog.folders import catalog
from opensearch_ml.operators.cluster import OpenSearchRemoveTrustedEndpointsOperator
from opensearch_ml.operators.connector import OpenSearchDeleteConnectorOperator
from opensearch_ml.operators.iam_role import OpenSearchDeleteIamRoleOperator
from opensearch_ml.operators.model import (
    OpenSearchDeleteModelGroupOperator,
    OpenSearchDeleteModelOperator,
    OpenSearchUndeployModelOperator,
)

BLUEPRINTS = catalog().blueprint_names()
CHOICE = {"enum": BLUEPRINTS} if BLUEPRINTS else {}  # an empty enum is no JSON Schema

with DAG(
    dag_id="opensearch_ml_teardown",
    description="Remove a blueprint's model, connector, group, trusted endpoints and IAM role",
    doc_md=__doc__,
    schedule=None,
    tags=["opensearch-ml"],
    params={
        # No default: what is deleted is said in as many words.
        "blueprint": Param(type="string", title="Blueprint", **CHOICE),
        "opensearch_conn_id": Param("opensearch_default", type="string", title="OpenSearch connection"),
        "opensearch_admin_conn_id": Param(
            "",
            type=["null", "string"],  # the form asks for a value of anything that is only a string
            title="OpenSearch connection of an administrator",
            description="Removes trusted endpoints; empty: the connection above",
        ),
        "aws_conn_id": Param(
            "aws_default", type="string", title="AWS connection that deletes the connector's IAM role or user's key"
        ),
    },
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=5),
        "opensearch_conn_id": "{{ params.opensearch_conn_id }}",
    },
):
    BLUEPRINT = "{{ params.blueprint }}"

    chain(
        OpenSearchUndeployModelOperator(task_id="undeploy", blueprint=BLUEPRINT),
        OpenSearchDeleteModelOperator(task_id="delete_model", blueprint=BLUEPRINT),
        OpenSearchDeleteConnectorOperator(
            task_id="delete_connector", blueprint=BLUEPRINT, aws_conn_id="{{ params.aws_conn_id }}"
        ),
        OpenSearchDeleteModelGroupOperator(task_id="delete_model_group", blueprint=BLUEPRINT),
        OpenSearchRemoveTrustedEndpointsOperator(
            task_id="remove_trusted_endpoints",
            blueprint=BLUEPRINT,
            opensearch_admin_conn_id="{{ params.opensearch_admin_conn_id or '' }}",
            max_active_tis_per_dag=1,
        ),
        OpenSearchDeleteIamRoleOperator(
            task_id="delete_iam_role", blueprint=BLUEPRINT, aws_conn_id="{{ params.aws_conn_id }}"
        ),
    )
