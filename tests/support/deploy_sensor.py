"""The sensor of a deployment, on a cluster that is stood for."""

from __future__ import annotations

from typing import Any

from opensearch_ml.sensors import OpenSearchDeployTaskSensor
from tests.support.doubles import MODEL, TASK, ClusterDouble


def sensor(cluster: ClusterDouble, **arguments: Any) -> OpenSearchDeployTaskSensor:
    made = OpenSearchDeployTaskSensor(
        **{"task_id": "deployed", "model_id": MODEL, "deploy_task_id": TASK, "poke_interval": 0.01, **arguments}
    )
    made.__dict__["hook"] = cluster
    return made
