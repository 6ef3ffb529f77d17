"""Make one blueprint a deployed model that answers.

Safe to run again at any time: a second run writes nothing, and a run after a failed one goes on where that one stopped.

- **OpenSearch connection**: who uses the models. For a domain of Amazon OpenSearch Service its extra says
  `{"domain_arn": "…", "aws_conn_id": "aws_default"}`, and every request is signed.
- **OpenSearch connection of an administrator**: who writes settings, trusted endpoints and role mappings, if not the
  same; for a domain's first run that of its master user. It may stay empty.
- **AWS connection**: who makes the IAM role that a blueprint's `roleArn` names; not used by other blueprints.

Task `preflight` tells all that can be known to go wrong, before anything is written. A model that appeared or changed
is an event of asset `opensearch-ml://<target>/<blueprint>`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, chain

from opensearch_ml.assets import MODELS
from opensearch_ml.catalog.folders import catalog
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

BLUEPRINTS = catalog().blueprint_names()
CHOICE = {"enum": BLUEPRINTS} if BLUEPRINTS else {}  # an empty enum is no JSON Schema

with DAG(
    dag_id="opensearch_ml_provision",
    description="A blueprint becomes a deployed, answering model",
    doc_md=__doc__,
    schedule=None,
    tags=["opensearch-ml"],
    params={
        # No default: a name that was misspelt on the command line must not provision another one.
        "blueprint": Param(type="string", title="Blueprint", description="A file in the blueprints folder", **CHOICE),
        "opensearch_conn_id": Param(
            "opensearch_default",
            type="string",
            title="OpenSearch connection",
            description="Who uses the models; the target of this name gives its variables",
        ),
        "opensearch_admin_conn_id": Param(
            "",
            type=["null", "string"],  # the form asks for a value of anything that is only a string
            title="OpenSearch connection of an administrator",
            description="Writes cluster settings, trusted endpoints and role mappings; empty: the connection above",
        ),
        "aws_conn_id": Param(
            "aws_default",
            type="string",
            title="AWS connection that makes IAM roles and keys, and reads secrets",
            description="Asked only where a blueprint needs one",
        ),
    },
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=5),
        "opensearch_conn_id": "{{ params.opensearch_conn_id }}",
    },
):
    BLUEPRINT = "{{ params.blueprint }}"

    AWS = "{{ params.aws_conn_id }}"
    ADMIN = "{{ params.opensearch_admin_conn_id or '' }}"

    preflight = OpenSearchPreflightOperator(
        task_id="preflight", blueprint=BLUEPRINT, aws_conn_id=AWS, opensearch_admin_conn_id=ADMIN
    )
    iam_role = OpenSearchCreateIamRoleOperator(task_id="iam_role", blueprint=BLUEPRINT, aws_conn_id=AWS)
    # These three write lists that the whole cluster shares and that carry no version: one run at a time.
    ml_settings = OpenSearchUpdateMLSettingsOperator(
        task_id="ml_settings", opensearch_admin_conn_id=ADMIN, max_active_tis_per_dag=1
    )
    role_mapping = OpenSearchMapRoleOperator(
        task_id="role_mapping", opensearch_admin_conn_id=ADMIN, max_active_tis_per_dag=1
    )
    trusted_endpoints = OpenSearchAddTrustedEndpointsOperator(
        task_id="trusted_endpoints", blueprint=BLUEPRINT, opensearch_admin_conn_id=ADMIN, max_active_tis_per_dag=1
    )
    connector = OpenSearchCreateConnectorOperator(task_id="connector", blueprint=BLUEPRINT, aws_conn_id=AWS)
    model_group = OpenSearchCreateModelGroupOperator(task_id="model_group", blueprint=BLUEPRINT)
    model = OpenSearchRegisterModelOperator(
        task_id="model",
        blueprint=BLUEPRINT,
        model_group_id=model_group.output,
        connector_id=connector.output,
        aws_conn_id=AWS,
    )
    deploy = OpenSearchDeployModelOperator(task_id="deploy", model_id=model.output)
    deployed = OpenSearchDeployTaskSensor(task_id="deployed", model_id=model.output, deploy_task_id=deploy.output)
    smoke_predict = OpenSearchPredictOperator(
        task_id="smoke_predict", blueprint=BLUEPRINT, model_id=model.output, aws_conn_id=AWS, outlets=[MODELS]
    )

    chain(
        preflight,
        iam_role,
        ml_settings,
        role_mapping,
        trusted_endpoints,
        connector,
        model_group,
        model,
        deploy,
        deployed,
        smoke_predict,
    )
