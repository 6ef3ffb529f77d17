"""How the sensor and its trigger see real deployments: on two nodes, one of which leaves and comes back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from local.opensearch import OpenSearchCluster
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.sensors import OpenSearchDeployTaskSensor
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.deployment import look_at_deployment, start_deployment
from opensearch_ml.steps.model import ensure_model, ensure_model_group
from opensearch_ml.triggers import OpenSearchDeployTaskTrigger
from tests.support.cluster import Cluster, connections
from tests.support.dag_runs import Run
from tests.support.provisioning import CREDENTIAL, prepare

KNOWN_WITHIN_S = 30.0  # on a loaded machine; the sensor's own budget is 600
# Without these, a node that comes back is given the model by itself, and only after ten seconds.
LEFT_TO_US = {
    "plugins.ml_commons.sync_up_job_interval_in_seconds": 1,
    "plugins.ml_commons.model_auto_redeploy.enable": False,
}


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    opensearch = OpenSearchCluster(tmp_path_factory.mktemp("two-nodes"), nodes=2, preferred_port=0, heap="512m")
    try:
        opensearch.start()
        opensearch.wait_until_healthy()
        yield Cluster(opensearch, opensearch.version)
    finally:
        opensearch.delete()


@pytest.fixture
def hook2(two_nodes: Cluster) -> Iterator[OpenSearchMLHook]:
    """A hook on the clean cluster of two nodes."""
    two_nodes.clean()
    with connections(opensearch_default=two_nodes.connection()):
        hook = OpenSearchMLHook()
        hook.put_cluster_settings(LEFT_TO_US)
        yield hook
    two_nodes.clean()


@pytest.fixture
def model_id(hook2: OpenSearchMLHook, blueprint: Blueprint) -> str:
    """A model that is registered and not deployed."""
    prepare(hook2, blueprint)
    connector_id = ensure_connector(hook2, blueprint, CREDENTIAL).id
    group_id = ensure_model_group(hook2, blueprint).id
    return ensure_model(hook2, blueprint, model_group_id=group_id, connector_id=connector_id).id


def sensor(model_id: str, **arguments: Any) -> OpenSearchDeployTaskSensor:
    return OpenSearchDeployTaskSensor(task_id="deployed", model_id=model_id, **arguments)


def until(
    hook: OpenSearchMLHook, model_id: str, state: str, *, nodes: int, planned: int, timeout_s: float = 30
) -> None:
    """Wait until the server says so."""
    wanted = (state, nodes, planned)
    deadline = time.monotonic() + timeout_s
    while (seen := _standing(hook, model_id)) != wanted:
        assert time.monotonic() < deadline, f"{seen}, and not {wanted}, after {timeout_s} s"
        time.sleep(0.1)


def _standing(hook: OpenSearchMLHook, model_id: str) -> tuple[Any, ...]:
    model = hook.get_model(model_id) or {}
    names = ("model_state", "current_worker_node_count", "planning_worker_node_count")
    return tuple(model.get(name) for name in names)


@pytest.fixture
def failing(two_nodes: Cluster, hook2: OpenSearchMLHook, model_id: str) -> str:
    """A model whose deployment fails: its connector is not there."""
    gone = {"connector_id": "no-such-connector"}
    two_nodes.request("PUT", f"/_plugins/_ml/models/{model_id}", json=gone).raise_for_status()
    return model_id


@pytest.mark.parametrize("by_task", [True, False], ids=["by its task", "by the model alone"])
def test_a_deployment_that_fails_is_told_at_once_with_the_nodes_words(
    hook2: OpenSearchMLHook, failing: str, by_task: bool
) -> None:
    task_id = hook2.deploy_model(failing)
    with pytest.raises(AirflowFailException) as raised:
        sensor(failing, deploy_task_id=task_id if by_task else None).execute({})
    told_ms = time.time() * 1000
    task = hook2.get_task(task_id)
    assert task
    assert task["state"] == "FAILED"
    assert (told_ms - task["last_update_time"]) / 1000 < KNOWN_WITHIN_S
    cause, evidence, fix = str(raised.value).splitlines()
    assert cause == f"model {failing} cannot be deployed"
    assert "Failed to find connector:no-such-connector" in evidence
    assert "if the connector is gone" in fix


def test_a_trigger_tells_a_failed_deployment_in_the_same_words(hook2: OpenSearchMLHook, failing: str) -> None:
    task_id = hook2.deploy_model(failing)
    trigger = OpenSearchDeployTaskTrigger("opensearch_default", failing, task_id, until_s=time.time() + 30)

    async def events() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    waiting, deferred = sensor(failing, deploy_task_id=task_id), sensor(failing, deploy_task_id=task_id)
    with pytest.raises(AirflowFailException) as waited:
        waiting.execute({})
    with pytest.raises(AirflowFailException) as resumed:
        deferred.execute_complete({}, event)
    assert str(resumed.value) == str(waited.value)


def test_a_model_is_deployed_only_when_every_node_that_is_there_has_it(
    two_nodes: Cluster,
    hook2: OpenSearchMLHook,
    model_id: str,
    run_dag: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opensearch_ml.sensors.DEFER_AFTER_S", 0.0)
    assert start_deployment(hook2, model_id)
    assert sensor(model_id).execute({}) == model_id
    until(hook2, model_id, "DEPLOYED", nodes=2, planned=2)

    # A node that leaves takes nothing away: the server plans for those that are there.
    two_nodes.opensearch.stop_node(2)
    until(hook2, model_id, "DEPLOYED", nodes=1, planned=1)
    assert start_deployment(hook2, model_id) is None
    assert sensor(model_id).execute({}) == model_id

    # It comes back without the model, which is not deployed until somebody deploys it.
    two_nodes.opensearch.start_node(2)
    two_nodes.opensearch.wait_until_healthy()
    until(hook2, model_id, "PARTIALLY_DEPLOYED", nodes=1, planned=2)
    with pytest.raises(AirflowFailException, match="PARTIALLY_DEPLOYED on 1 of 2 nodes"):
        sensor(model_id, timeout=1, poke_interval=0.2).execute({})
    gave_up = run_dag("deployed_deferred_in_time", model_id=model_id)
    assert gave_up.state == "failed"
    assert f"model {model_id} is not deployed in time" in gave_up.log
    assert f"evidence: model {model_id} PARTIALLY_DEPLOYED on 1 of 2 nodes" in gave_up.log

    # Deployed while a deferred task waits for it.
    waiting = threading.Event()

    def look_and_tell(*arguments: Any) -> Any:
        waiting.set()
        return look_at_deployment(*arguments)

    def deploy_once_waited_for() -> None:
        waiting.wait(30)
        started.append(start_deployment(hook2, model_id))

    started: list[str | None] = []
    monkeypatch.setattr("opensearch_ml.steps.deployment.look_at_deployment", look_and_tell)
    deploying = threading.Thread(target=deploy_once_waited_for)
    deploying.start()
    deferred = run_dag("deployed_deferred", model_id=model_id)
    deploying.join()
    assert started
    assert started[0] is not None
    assert (deferred.state, deferred.returned) == ("success", model_id)
    until(hook2, model_id, "DEPLOYED", nodes=2, planned=2)
