"""The sensor: which states it waits for, which it fails on, and how long it is patient, in every mode of Airflow's."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    TaskDeferred,
)

from opensearch_ml.client import states
from opensearch_ml.errors import Transient, Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.sensors import TRIGGERER_GRACE_S
from tests.support.deploy_sensor import sensor
from tests.support.doubles import MODEL, TASK, WHY, ClusterDouble, as_context

pytestmark = pytest.mark.usefixtures("impatient")

NOT_REACHED = Unreachable("no answer", evidence="refused", fix="run again")


def stuck() -> ClusterDouble:
    return ClusterDouble(model=["DEPLOYING"], task=["RUNNING"])


def undeployed() -> ClusterDouble:
    return ClusterDouble(model=["UNDEPLOYED"])


@pytest.mark.parametrize("name", ["get_task", "get_model", "search_tasks"])
def test_the_double_is_asked_like_the_hook(name: str) -> None:
    assert inspect.signature(getattr(ClusterDouble, name)) == inspect.signature(getattr(OpenSearchMLHook, name))


# ---- states: parametrized over the sets themselves, so that a new state is tested the day it is added


@pytest.mark.parametrize("task", [None, TASK], ids=["by the model alone", "by its task"])
@pytest.mark.parametrize("state", sorted(states.MODEL_DEPLOYED))
def test_a_deployed_model_is_done_at_the_first_look(state: str, task: str | None) -> None:
    cluster = ClusterDouble(model=[state])
    assert sensor(cluster, deploy_task_id=task, deferrable=True).execute({}) == MODEL
    assert cluster.looks == 1


@pytest.mark.parametrize("state", sorted(states.MODEL_DEPLOYING | states.MODEL_PARTIALLY_DEPLOYED))
def test_a_model_that_deploys_is_waited_for(state: str) -> None:
    cluster = ClusterDouble(model=[state, state, "DEPLOYED"])
    assert sensor(cluster, deploy_task_id=None).execute({}) == MODEL
    assert cluster.looks == 3


@pytest.mark.parametrize("state", sorted(states.MODEL_NOT_DEPLOYED | states.MODEL_DEPLOY_FAILED))
def test_a_model_that_will_never_be_deployed_fails_at_the_first_look(state: str) -> None:
    cluster = ClusterDouble(model=[state], error=WHY if state in states.MODEL_DEPLOY_FAILED else None)
    with pytest.raises(AirflowFailException, match=state):
        sensor(cluster, deploy_task_id=None, deferrable=True).execute({})
    assert cluster.looks == 1


@pytest.mark.parametrize("task", sorted(states.TASK_INTERMEDIATE))
@pytest.mark.parametrize(
    "state",
    sorted(
        states.MODEL_DEPLOYING
        | states.MODEL_PARTIALLY_DEPLOYED
        | states.MODEL_NOT_DEPLOYED
        | states.MODEL_DEPLOY_FAILED
    ),
)
def test_a_task_that_goes_on_is_waited_for_whatever_the_model_says(state: str, task: str) -> None:
    cluster = ClusterDouble(model=[state, "DEPLOYED"], task=[task, "COMPLETED"])
    assert sensor(cluster).execute({}) == MODEL
    assert cluster.looks == 2


@pytest.mark.parametrize("task", sorted(states.TASK_FAILURE))
def test_a_task_that_failed_fails_with_the_nodes_own_words(task: str) -> None:
    with pytest.raises(AirflowFailException) as raised:
        sensor(ClusterDouble(model=["DEPLOY_FAILED"], task=[task], error=WHY)).execute({})
    cause, evidence, fix = str(raised.value).splitlines()
    assert cause == f"model {MODEL} cannot be deployed"
    assert "evidence: node node-a: Failed to find connector:gone" in evidence
    assert task in evidence
    assert "fix: mend what the server names" in fix


@pytest.mark.parametrize("task", sorted(states.TASK_FAILURE | states.TASK_INTERMEDIATE))
def test_a_deployed_model_is_done_whatever_its_task_says(task: str) -> None:
    assert sensor(ClusterDouble(model=["DEPLOYED"], task=[task], error=WHY)).execute({}) == MODEL


@pytest.mark.parametrize("task", sorted(states.TASK_SUCCESS))
def test_a_task_that_ended_well_is_not_enough(task: str) -> None:
    cluster = ClusterDouble(model=["PARTIALLY_DEPLOYED", "DEPLOYED"], task=[task])
    assert sensor(cluster).execute({}) == MODEL
    assert cluster.looks == 2


def test_a_deployment_that_collided_is_another_ones_to_wait_for() -> None:
    collided = '{"node-a": "Duplicate deploy model task"}'
    cluster = ClusterDouble(model=["DEPLOY_FAILED", "DEPLOYED"], task=["FAILED"], error=collided)
    assert sensor(cluster).execute({}) == MODEL


@pytest.mark.parametrize(
    ("cluster", "what"),
    [
        (ClusterDouble(model=["HIBERNATING"]), "model model-1 is in an unknown state"),
        (ClusterDouble(model=["DEPLOYED"], task=["DREAMING"]), "the deploy task is in an unknown state"),
    ],
    ids=["model", "task"],
)
def test_a_state_that_nobody_knows_is_an_error(cluster: ClusterDouble, what: str) -> None:
    with pytest.raises(AirflowFailException, match=what):
        sensor(cluster, deferrable=True).execute({})


def test_a_task_that_was_deleted_leaves_the_word_to_the_model() -> None:
    assert sensor(ClusterDouble(model=["DEPLOYING", "DEPLOYED"], task=[None])).execute({}) == MODEL


# ---- patience


def test_it_defers_only_after_the_first_seconds() -> None:
    cluster, started = stuck(), time.monotonic()
    with pytest.raises(TaskDeferred) as deferred:
        sensor(cluster, deferrable=True, timeout=100).execute({})
    assert time.monotonic() - started >= 0.1
    assert cluster.looks > 1  # how many, is the machine's business
    assert deferred.value.method_name == "execute_complete"


def test_a_deferral_has_what_is_left_of_the_budget_and_the_triggerer_a_grace() -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sensor(stuck(), deferrable=True, timeout=100, poke_interval=7).execute({})
    _, kwargs = deferred.value.trigger.serialize()
    until_s = kwargs.pop("until_s")
    assert kwargs == {
        "opensearch_conn_id": "opensearch_default",
        "model_id": MODEL,
        "deploy_task_id": TASK,
        "poll_interval_s": 7,
    }
    assert 99 < until_s - time.time() < 100
    assert deferred.value.timeout > timedelta(seconds=99 + TRIGGERER_GRACE_S)


def test_it_looks_again_when_the_cluster_does_not_answer_for_a_moment() -> None:
    cluster = ClusterDouble(model=[NOT_REACHED, NOT_REACHED, "DEPLOYED"])
    assert sensor(cluster).execute({}) == MODEL


def test_a_cluster_that_stays_away_is_left_to_airflows_retries() -> None:
    with pytest.raises(Transient, match="no answer"):
        sensor(ClusterDouble(model=[NOT_REACHED])).execute({})


@pytest.mark.parametrize(
    ("timeout", "first_looks_s"), [(0.3, 2.0), (1.0, 0.5)], ids=["shorter than the first looks", "longer"]
)
def test_a_poking_sensor_ends_in_time_and_says_what_it_saw_last(
    timeout: float, first_looks_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opensearch_ml.sensors.DEFER_AFTER_S", first_looks_s)
    started = time.monotonic()
    with pytest.raises(AirflowFailException) as raised:
        sensor(stuck(), timeout=timeout).execute({})
    assert time.monotonic() - started < timeout + 0.4
    assert str(raised.value).splitlines() == [
        f"model {MODEL} is not deployed in time",
        f"  evidence: task {TASK} RUNNING, model {MODEL} DEPLOYING on 1 of 2 nodes",
        "  fix: look at the nodes that lack it (GET /_plugins/_ml/models/{id}: planning_worker_nodes), "
        "or give the sensor a longer timeout",
    ]


class RescheduledTask:
    """Stands for the task instance of a sensor that Airflow has rescheduled before."""

    def __init__(self, seconds_ago: float) -> None:
        self._first = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)

    def get_first_reschedule_date(self, context: Context) -> datetime:
        return self._first


def rescheduled(seconds_ago: float) -> Context:
    return as_context({"ti": RescheduledTask(seconds_ago), "task_reschedule_count": 1})


def test_a_rescheduled_sensor_frees_its_slot_after_one_look() -> None:
    cluster = stuck()
    with pytest.raises(AirflowRescheduleException) as raised:
        sensor(cluster, mode="reschedule", poke_interval=30).execute(rescheduled(seconds_ago=60))
    assert cluster.looks == 1
    assert timedelta(seconds=25) < raised.value.reschedule_date - datetime.now(timezone.utc) < timedelta(seconds=31)


def test_a_rescheduled_sensor_returns_the_model_too() -> None:
    assert sensor(ClusterDouble(), mode="reschedule").execute(rescheduled(seconds_ago=60)) == MODEL


def test_a_rescheduled_sensor_counts_its_budget_from_the_first_time() -> None:
    with pytest.raises(AirflowFailException, match="not deployed in time"):
        sensor(stuck(), mode="reschedule", timeout=600).execute(rescheduled(seconds_ago=601))


# ---- Airflow's own options for sensors


@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("cluster", [undeployed, stuck], ids=["failed", "not in time"])
def test_a_sensor_that_may_not_fail_is_skipped_with_the_reason(
    option: str, cluster: Callable[[], ClusterDouble]
) -> None:
    with pytest.raises(AirflowSkipException):
        sensor(cluster(), timeout=0.2, **{option: True}).execute({})


def test_a_silent_sensor_goes_on_when_the_cluster_does_not_answer() -> None:
    cluster = ClusterDouble(model=[*[NOT_REACHED] * 40, "DEPLOYED"])
    assert sensor(cluster, silent_fail=True).execute({}) == MODEL


# ---- after a deferral


def test_a_deferred_sensor_returns_what_the_waiting_one_returns() -> None:
    made = sensor(ClusterDouble())
    assert made.execute_complete({}, {"status": "success", "state": "DEPLOYED"}) == made.execute({})


def test_a_deferred_sensor_fails_in_the_words_of_the_waiting_one() -> None:
    failing = ClusterDouble(model=["DEPLOY_FAILED"], task=["FAILED"], error=WHY)
    with pytest.raises(AirflowFailException) as waited:
        sensor(failing).execute({})
    cause, evidence, fix = (line.partition(": ")[2] for line in f"cause: {waited.value}".splitlines())
    told = {"status": "error", "transient": False, "cause": cause, "evidence": evidence, "fix": fix}
    with pytest.raises(AirflowFailException) as deferred:
        sensor(failing).execute_complete({}, told)
    assert str(deferred.value) == str(waited.value)


def test_a_deferred_sensor_leaves_a_passing_failure_to_airflows_retries() -> None:
    told = {"status": "error", "transient": True, "cause": "no answer", "evidence": "refused", "fix": "run again"}
    with pytest.raises(Transient, match="no answer"):
        sensor(ClusterDouble()).execute_complete({}, told)


@pytest.mark.parametrize("event", [None, {}, {"status": "error"}])
def test_a_trigger_that_ends_without_a_word_is_an_error(event: dict[str, Any] | None) -> None:
    with pytest.raises(AirflowFailException, match="the trigger ended without a word") as raised:
        sensor(ClusterDouble()).execute_complete({}, event)
    assert "fix: look at the triggerer's log" in str(raised.value)
