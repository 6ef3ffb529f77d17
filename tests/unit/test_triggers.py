"""The trigger: rebuilt from what is stored, patient until its time is over, and no burden to the other triggers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.serde import deserialize, serialize
from airflow.triggers.base import TriggerEvent

from opensearch_ml.errors import OpenSearchMLError, ServerBusy, Unreachable
from opensearch_ml.triggers import OpenSearchDeployTaskTrigger
from tests.support.cluster import connections
from tests.support.deploy_sensor import sensor
from tests.support.doubles import MODEL, TASK, WHY, ClusterDouble
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.usefixtures("impatient")

NOT_REACHED = Unreachable("no answer", evidence="refused", fix="run again")

Tell = Callable[..., dict[str, Any]]


def trigger(**arguments: Any) -> OpenSearchDeployTaskTrigger:
    return OpenSearchDeployTaskTrigger(
        **{
            "opensearch_conn_id": "opensearch_default",
            "model_id": MODEL,
            "deploy_task_id": TASK,
            "until_s": time.time() + 30,
            "poll_interval_s": 0.01,
            **arguments,
        }
    )


async def events(of: OpenSearchDeployTaskTrigger) -> list[dict[str, Any]]:
    return [event.payload async for event in of.run()]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run a trigger on a cluster, and return its one event."""

    def run(cluster: ClusterDouble, **arguments: Any) -> dict[str, Any]:
        monkeypatch.setattr("opensearch_ml.hook.OpenSearchMLHook", lambda conn_id: cluster)
        (event,) = asyncio.run(events(trigger(**arguments)))
        return event

    return run


@pytest.mark.parametrize("deploy_task_id", [None, TASK])
def test_a_trigger_is_rebuilt_exactly_from_its_row(deploy_task_id: str | None) -> None:
    first = trigger(deploy_task_id=deploy_task_id)
    path, kwargs = first.serialize()
    stored = json.loads(json.dumps(serialize(kwargs)))
    arguments = deserialize(stored)
    assert isinstance(arguments, dict)
    rebuilt = import_string(path)(**arguments)
    assert type(rebuilt) is OpenSearchDeployTaskTrigger
    assert rebuilt.serialize() == first.serialize()


def test_a_trigger_keeps_ids_only_in_its_row() -> None:
    password = "canary-Vt6-Rk1-Zp8"
    connection = {"conn_type": "opensearch", "host": "search.example.com", "login": "admin", "password": password}
    with connections(opensearch_default=json.dumps(connection)):
        made = trigger()
        assert set(made.serialize()[1]) == {
            "opensearch_conn_id",
            "model_id",
            "deploy_task_id",
            "until_s",
            "poll_interval_s",
        }
        assert password not in json.dumps(made.serialize())


def test_a_deployed_model_ends_the_wait_well(told: Tell) -> None:
    event = told(ClusterDouble(model=["DEPLOYING", "DEPLOYED"], task=["RUNNING", "COMPLETED"]))
    assert event == {
        "status": "success",
        "state": f"task {TASK} COMPLETED, model {MODEL} DEPLOYED on 1 of 2 nodes",
    }


def test_the_sensor_says_the_same_with_and_without_a_trigger(told: Tell) -> None:
    def failing() -> ClusterDouble:
        return ClusterDouble(model=["DEPLOY_FAILED"], task=["FAILED"], error=WHY)

    event = told(failing())
    assert (event["status"], event["transient"]) == ("error", False)
    with pytest.raises(AirflowFailException) as deferred:
        sensor(failing()).execute_complete({}, event)
    with pytest.raises(AirflowFailException) as waited:
        sensor(failing()).execute({})
    assert str(deferred.value) == str(waited.value)


def test_it_looks_again_after_a_passing_failure(told: Tell) -> None:
    cluster = ClusterDouble(model=[NOT_REACHED, ServerBusy("busy", evidence="429", fix="wait"), "DEPLOYED"])
    assert told(cluster)["status"] == "success"
    assert cluster.looks == 3


@pytest.mark.parametrize(
    ("model", "transient", "cause"),
    [("DEPLOYING", False, f"model {MODEL} is not deployed in time"), (NOT_REACHED, True, "no answer")],
    ids=["still deploying", "cluster away"],
)
def test_it_gives_up_when_its_time_is_over(
    told: Tell, model: str | OpenSearchMLError, transient: bool, cause: str
) -> None:
    started = time.monotonic()
    event = told(ClusterDouble(model=[model]), until_s=time.time() + 0.2)
    assert 0.2 <= time.monotonic() - started < 1
    assert event["status"] == "error"
    assert (event["transient"], event["cause"]) == (transient, cause)
    assert event["evidence"]
    assert event["fix"]


def test_it_looks_once_even_if_its_time_was_over_while_the_triggerer_was_down(told: Tell) -> None:
    assert told(ClusterDouble(), until_s=time.time() - 100)["status"] == "success"


def test_it_pauses_before_the_first_look_so_that_the_scheduler_sees_the_deferral(told: Tell) -> None:
    started = time.monotonic()
    told(ClusterDouble(), poll_interval_s=0.2)
    assert time.monotonic() - started >= 0.2


def test_a_slow_cluster_does_not_hold_up_other_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = ClusterDouble(answer_s=0.5)
    monkeypatch.setattr("opensearch_ml.hook.OpenSearchMLHook", lambda conn_id: slow)
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    async def both() -> None:
        ticking = asyncio.create_task(tick())
        await events(trigger())
        ticking.cancel()

    asyncio.run(both())
    assert len(gaps) > 20
    assert max(gaps) < 0.2  # what Airflow itself warns of


def test_importing_the_trigger_does_not_hold_up_other_triggers() -> None:
    # The triggerer imports it on its event loop; opensearch-py alone takes longer than Airflow's warning threshold.
    code = "import sys, airflow.triggers.base, opensearch_ml.triggers; print('opensearchpy' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_cancelled_trigger_sends_no_event_and_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = ClusterDouble(model=["DEPLOYING"], task=["RUNNING"])
    monkeypatch.setattr("opensearch_ml.hook.OpenSearchMLHook", lambda conn_id: cluster)
    sent: list[TriggerEvent] = []

    async def cancelled() -> None:
        async def run() -> None:
            sent.extend([event async for event in trigger().run()])

        task = asyncio.create_task(run())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert sent == []
    assert cluster.looks > 0
