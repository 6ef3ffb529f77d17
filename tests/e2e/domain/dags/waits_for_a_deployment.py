"""A user's DAG that waits in the triggerer for a model that somebody else deploys."""

from __future__ import annotations

from airflow.sdk import DAG

from opensearch_ml.sensors import OpenSearchDeployTaskSensor

with DAG("waits_for_a_deployment", schedule=None, params={"model_id": ""}):
    OpenSearchDeployTaskSensor(task_id="deployed", model_id="{{ params.model_id }}", deferrable=True, timeout=600)
