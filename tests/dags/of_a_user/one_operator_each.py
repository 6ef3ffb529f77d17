"""DAGs as somebody else writes them: each uses one of our operators on its own, with what its params say."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from opensearch_ml.operators.cluster import (
    OpenSearchAddTrustedEndpointsOperator,
    OpenSearchMapRoleOperator,
    OpenSearchRemoveTrustedEndpointsOperator,
    OpenSearchUpdateMLSettingsOperator,
)
from opensearch_ml.operators.connector import OpenSearchCreateConnectorOperator, OpenSearchDeleteConnectorOperator
from opensearch_ml.operators.iam_role import OpenSearchCreateIamRoleOperator, OpenSearchDeleteIamRoleOperator
from opensearch_ml.operators.model import (
    OpenSearchCreateModelGroupOperator,
    OpenSearchDeleteModelGroupOperator,
    OpenSearchDeleteModelOperator,
    OpenSearchDeployModelOperator,
    OpenSearchPredictOperator,
    OpenSearchRegisterModelOperator,
    OpenSearchUndeployModelOperator,
)
from opensearch_ml.operators.preflight import OpenSearchPreflightOperator
from opensearch_ml.sensors import OpenSearchDeployTaskSensor

BLUEPRINT = "{{ params.blueprint }}"
MODEL = "{{ params.model_id }}"

with DAG("settings", schedule=None, params={"private_ip": True}):
    OpenSearchUpdateMLSettingsOperator(
        task_id="it",
        settings={"private_ip_enabled": "{{ params.private_ip }}"},  # type: ignore[dict-item]  # a template
    )

with DAG("settings_as_one", schedule=None, params={"settings": {}}, render_template_as_native_obj=True):
    OpenSearchUpdateMLSettingsOperator(
        task_id="it",
        settings="{{ params.settings }}",  # type: ignore[arg-type]  # a template
    )

with DAG("settings_of_the_target", schedule=None):
    OpenSearchUpdateMLSettingsOperator(task_id="it")

with DAG("wrong_settings", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(0)}):
    OpenSearchUpdateMLSettingsOperator(
        task_id="it",
        settings={
            "only_run_on_ml_node": False,
            "private_ip_enable": True,
            "log_level": "DEBUG",  # type: ignore[dict-item]  # what is wrong
        },
    )

with DAG("settings_as_text", schedule=None, params={"settings": {}}):
    OpenSearchUpdateMLSettingsOperator(
        task_id="it",
        settings="{{ params.settings }}",  # type: ignore[arg-type]  # a template
    )

with DAG("roles", schedule=None, params={"role": "ml_full_access", "user": "someone"}):
    OpenSearchMapRoleOperator(task_id="it", role_mapping={"ml_full_access": {"users": ["{{ params.user }}"]}})

with DAG(
    "by_an_administrator",
    schedule=None,
    params={"blueprint": "", "admin": ""},
    default_args={"opensearch_admin_conn_id": "{{ params.admin }}", "retries": 2, "retry_delay": timedelta(0)},
):
    OpenSearchUpdateMLSettingsOperator(task_id="settings", settings={"private_ip_enabled": True})
    OpenSearchMapRoleOperator(task_id="roles", role_mapping={"ml_full_access": {"users": ["someone"]}})
    OpenSearchAddTrustedEndpointsOperator(task_id="trusted", blueprint=BLUEPRINT)

with DAG("roles_of_the_target", schedule=None):
    OpenSearchMapRoleOperator(task_id="it")

with DAG("wrong_roles", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(0)}):
    OpenSearchMapRoleOperator(
        task_id="it", role_mapping={"ml_read_access": {"users": ["x"]}, "ml_full_access": {"backend_role": ["y"]}}
    )

with DAG("trusted_endpoints", schedule=None, params={"blueprint": ""}):
    OpenSearchAddTrustedEndpointsOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("remove_trusted_endpoints", schedule=None, params={"blueprint": ""}):
    OpenSearchRemoveTrustedEndpointsOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("preflight", schedule=None, params={"blueprint": "", "cluster": "opensearch_default"}):
    OpenSearchPreflightOperator(task_id="it", blueprint=BLUEPRINT, opensearch_conn_id="{{ params.cluster }}")

with DAG("preflight_with_retries", schedule=None, params={"cluster": ""}, default_args={"retries": 1}):
    OpenSearchPreflightOperator(
        task_id="it",
        blueprint="openai_embedding",
        opensearch_conn_id="{{ params.cluster }}",
        retry_delay=timedelta(0),
    )

with DAG("iam_role", schedule=None, params={"blueprint": "", "aws": "aws_default"}):
    OpenSearchCreateIamRoleOperator(task_id="it", blueprint=BLUEPRINT, aws_conn_id="{{ params.aws }}")

with DAG("delete_iam_role", schedule=None, params={"blueprint": "", "aws": "aws_default"}):
    OpenSearchDeleteIamRoleOperator(task_id="it", blueprint=BLUEPRINT, aws_conn_id="{{ params.aws }}")

with DAG("connector", schedule=None, params={"blueprint": ""}):
    OpenSearchCreateConnectorOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("model_group", schedule=None, params={"blueprint": ""}):
    OpenSearchCreateModelGroupOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("model", schedule=None, params={"blueprint": "", "model_group_id": "", "connector_id": ""}):
    OpenSearchRegisterModelOperator(
        task_id="it",
        blueprint=BLUEPRINT,
        model_group_id="{{ params.model_group_id }}",
        connector_id="{{ params.connector_id }}",
    )

with DAG("deploy", schedule=None, params={"model_id": ""}):
    OpenSearchDeployModelOperator(task_id="it", model_id=MODEL)

with DAG("deployed", schedule=None, params={"model_id": ""}):
    OpenSearchDeployTaskSensor(task_id="it", model_id=MODEL)

with DAG("deployed_deferred", schedule=None, params={"model_id": ""}):
    OpenSearchDeployTaskSensor(task_id="it", model_id=MODEL, deferrable=True, poke_interval=0.2)

with DAG("deployed_deferred_in_time", schedule=None, params={"model_id": ""}):
    OpenSearchDeployTaskSensor(task_id="it", model_id=MODEL, deferrable=True, poke_interval=0.2, timeout=1)

with DAG("predict", schedule=None, params={"blueprint": "", "model_id": ""}):
    OpenSearchPredictOperator(task_id="it", blueprint=BLUEPRINT, model_id=MODEL)

with DAG("undeploy", schedule=None, params={"blueprint": ""}):
    OpenSearchUndeployModelOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("delete_model", schedule=None, params={"blueprint": ""}):
    OpenSearchDeleteModelOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("delete_connector", schedule=None, params={"blueprint": ""}):
    OpenSearchDeleteConnectorOperator(task_id="it", blueprint=BLUEPRINT)

with DAG("delete_model_group", schedule=None, params={"blueprint": ""}):
    OpenSearchDeleteModelGroupOperator(task_id="it", blueprint=BLUEPRINT)
