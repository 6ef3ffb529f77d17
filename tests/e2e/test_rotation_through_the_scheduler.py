"""Through a real scheduler: a connection gets another key, and the model that serves gets it too, or keeps the old."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import psutil
import pytest
import yaml

from local.airflow_standalone import AirflowStandalone, DagRun
from local.aws_account.process import AwsAccount
from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from local.stack import Stack
from opensearch_ml.resources.rotation_state import CANARY_PREFIX
from opensearch_ml.rotation.record import Step
from tests.support.cluster import Cluster
from tests.support.repository import BLUEPRINTS
from tests.support.rotation_world import load
from tests.support.scheduler_runs import ONE_OF_EACH, PROVISION, TEARDOWN, files_below, objects, state_of, told
from tests.support.shared_stack import ROTATING, SESSION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # make test-rotation; the first one starts the stack

ROTATE = "opensearch_ml_rotate_credentials"
BLUEPRINT, CONNECTION = ROTATING[0], "rotated_key"
ASKED = {"parameters": {"input": ["x"]}}
KEPT_ON = "the server takes it for used"  # said of what a false 409 keeps: only then may it be left
FIRST, SECOND, WRONG = (f"sk-canary-e2e-{name}-7Rq3" for name in ("first", "second", "wrong"))


@pytest.fixture(scope="module")
def accepted(stack: Stack, e2e_cluster: Cluster) -> Iterator[ModelEndpoints]:
    """The model endpoints, which accept the first and the second key besides."""
    endpoints = stack.model_endpoints
    assert endpoints
    endpoints.replace_keys({**stack.keys, "openai": [*stack.keys["openai"], FIRST, SECOND]})
    yield endpoints
    endpoints.replace_keys(stack.keys)


@pytest.fixture(scope="module")
def model_id(stack: Stack, accepted: ModelEndpoints) -> str:
    """A model that serves with the first key."""
    assert stack.airflow
    stack.airflow.write_connection(CONNECTION, password=FIRST)
    run = stack.airflow.run(PROVISION, {"blueprint": BLUEPRINT})
    assert run.state == "success"
    return str(run.xcom("smoke_predict"))


def rotate(airflow: AirflowStandalone, **conf: Any) -> DagRun:
    return airflow.run(ROTATE, {"blueprints": [BLUEPRINT], **conf})


def serving(cluster: Cluster, endpoints: ModelEndpoints, model_id: str) -> set[str]:
    """The fingerprints of the keys that the model endpoint sees when the model is asked."""
    since = time.time()
    for _ in range(3):
        cluster.request("POST", f"/_plugins/_ml/models/{model_id}/_predict", json=ASKED).raise_for_status()
    return set(endpoints.counts_by_fingerprint(since=since))


def test_a_new_key_comes_to_serve_and_the_event_says_so(
    airflow: AirflowStandalone, e2e_cluster: Cluster, accepted: ModelEndpoints, model_id: str
) -> None:
    assert serving(e2e_cluster, accepted, model_id) == {bearer_fingerprint(FIRST)}
    airflow.write_connection(CONNECTION, password=SECOND)
    run = rotate(airflow)
    assert run.state == "success"
    assert serving(e2e_cluster, accepted, model_id) == {bearer_fingerprint(SECOND)}
    record = run.xcom("rotate", map_index=0)
    assert (record["outcome"], record["model_id"], record["why"]) == ("rotated", model_id, ["credential"])
    [task] = [task for task in run.tasks() if task["task_id"] == "rotate"]
    assert task["rendered_map_index"] == BLUEPRINT
    events = airflow.api.get("/api/v2/assets/events", params={"source_dag_id": ROTATE, "source_run_id": run.run_id})
    [event] = events.json()["asset_events"]
    assert (event["uri"], event["extra"]) == (f"opensearch-ml://local/{BLUEPRINT}", record)


def test_a_wrong_key_is_refused_told_and_never_serves(
    airflow: AirflowStandalone, e2e_cluster: Cluster, accepted: ModelEndpoints, model_id: str
) -> None:
    airflow.write_connection(CONNECTION, password=WRONG)
    run = rotate(airflow)
    assert run.state == "failed"
    assert {state_of(run, task) for task in ("rotate", "summary")} == {"failed"}
    for log in (told(run, "rotate", map_index=0), told(run, "summary")):
        assert "the model's platform refuses the connector's credential" in log
        assert "the old one serves, and nothing is left behind" in log
        assert "fix: " in log
    assert serving(e2e_cluster, accepted, model_id) == {bearer_fingerprint(SECOND)}


def test_a_run_with_nothing_to_do_writes_nothing(
    airflow: AirflowStandalone, e2e_cluster: Cluster, accepted: ModelEndpoints, model_id: str
) -> None:
    airflow.write_connection(CONNECTION, password=SECOND)
    before = e2e_cluster.writes()
    run = rotate(airflow)
    assert (run.state, state_of(run, "rotate")) == ("success", "skipped")
    assert e2e_cluster.writes() == before
    assert f"model {model_id} is as it should be" in told(run, "find")
    assert "1 models: 1 unchanged" in told(run, "summary")


# ---- a task whose process is killed


@pytest.fixture(scope="module")
def models(stack: Stack, model_id: str) -> dict[str, str]:
    """The models that serve with one connection's key: blueprint to id."""
    assert stack.airflow
    others = [stack.airflow.trigger(PROVISION, {"blueprint": name}) for name in ROTATING[1:]]
    assert [run.wait() for run in others] == ["success"] * len(others)
    return dict(zip(ROTATING, [model_id, *(str(run.xcom("smoke_predict")) for run in others)], strict=True))


@pytest.mark.parametrize("step", [Step.TEST, Step.GRACE], ids=["before the switch", "after it"])
def test_a_task_that_is_killed_is_taken_up_by_its_retry(
    airflow: AirflowStandalone, e2e_cluster: Cluster, accepted: ModelEndpoints, models: dict[str, str], step: Step
) -> None:
    old, new = FIRST, SECOND
    if serving(e2e_cluster, accepted, models[BLUEPRINT]) == {bearer_fingerprint(new)}:
        old, new = new, old
    airflow.write_connection(CONNECTION, password=new)
    accepted.behave(family="openai", fingerprint=bearer_fingerprint(new), delay_s=0.5)  # so that the test takes a while
    with ExitStack() as beside:
        loads = [beside.enter_context(load(e2e_cluster, one, ASKED, per_second=10)) for one in models.values()]
        run = airflow.trigger(ROTATE, {"blueprints": list(models)})
        done_before = kill_at(airflow, run, step)
        accepted.behave_normally()
        assert run.wait() == "success"
    assert (f"{BLUEPRINT}: {Step.SWITCH.value}" in done_before) is (step is Step.GRACE)
    assert f"{BLUEPRINT}: {Step.RETIRE.value}" not in done_before
    assert [one.failed for one in loads] == [[]] * len(models)
    tasks = {task["rendered_map_index"]: task for task in run.tasks() if task["task_id"] == "rotate"}
    tries = {name: (task["state"], task["try_number"]) for name, task in tasks.items()}
    assert tries == dict.fromkeys(models, ("success", 1)) | {BLUEPRINT: ("success", 2)}
    records = {name: run.xcom("rotate", map_index=task["map_index"]) for name, task in tasks.items()}
    # Past the switch, the retry has only the rest to do.
    why = dict.fromkeys(models, "credential") | ({BLUEPRINT: "finished"} if step is Step.GRACE else {})
    assert {name: ", ".join(record["why"]) for name, record in records.items()} == why
    retired = max(one["started"] for record in records.values() for one in record["steps"] if one["step"] == "retire")
    late = accepted.counts_by_fingerprint(since=datetime.fromisoformat(retired).timestamp())
    assert bearer_fingerprint(old) not in late
    for name, model_id in models.items():
        kept = [detail for detail in records[name]["details"] if KEPT_ON in detail]
        assert objects(e2e_cluster, name) == ONE_OF_EACH | {"connectors": 1 + len(kept)}, records[name]
        assert e2e_cluster.search("models", {"term": {"name.keyword": CANARY_PREFIX + name}}) == []
        assert serving(e2e_cluster, accepted, model_id) == {bearer_fingerprint(new)}, name


def kill_at(airflow: AirflowStandalone, run: DagRun, step: Step) -> str:
    """Kill the process of the first blueprint's task once its rotation comes to a step; return what it had logged."""
    seen: dict[str, Any] = {}

    def comes_to_it() -> bool:
        named = [task for task in run.tasks() if task["rendered_map_index"] == BLUEPRINT]
        seen["task"] = next((task for task in named if task["pid"]), None)
        seen["log"] = told(run, "rotate", map_index=seen["task"]["map_index"]) if seen["task"] else ""
        return f"{BLUEPRINT}: {step.value}" in seen["log"]

    until(comes_to_it, f"the rotation comes to step {step.value}", every_s=0.05)
    standalone = airflow.process()
    assert standalone
    task = psutil.Process(seen["task"]["pid"])
    assert task in standalone.children(recursive=True)
    task.kill()
    return str(seen["log"])


# ---- sessions, which end by themselves

ROLE_NAME, LIFETIME_S = "models", 40
ANYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


@pytest.fixture
def sessions(stack: Stack, airflow: AirflowStandalone, accepted: ModelEndpoints) -> Iterator[AwsAccount]:
    """The stack's account, and a blueprint that signs with sessions of a role; torn down afterwards."""
    account = stack.moto
    assert account
    role_arn = account.create_role(ROLE_NAME, [ANYBODY], [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    account.create_sagemaker_endpoint("opensearch-embedding")
    accepted.use_account(account.url)
    document = yaml.safe_load((BLUEPRINTS / "sagemaker_embedding_static_keys.yaml").read_text())
    document["variables"]["sagemaker_url"] = accepted.url
    document["connector"]["client_config"]["read_timeout"] = 1
    del document["connector"]["credential"]
    document["rotation"] = {"source": "assume_role", "role_arn": role_arn}
    (stack.folder / "blueprints" / f"{SESSION}.yaml").write_text(yaml.safe_dump(document))
    yield account
    # The chain of runs ends with the model.
    assert airflow.run(TEARDOWN, {"blueprint": SESSION}).state == "success"
    account.delete_role(ROLE_NAME)
    accepted.use_account(None)


def planned(airflow: AirflowStandalone) -> list[dict[str, Any]]:
    """The runs that a run has planned, the soonest first."""
    runs = airflow.api.get(f"/api/v2/dags/{ROTATE}/dagRuns", params={"order_by": "run_after"}).json()["dag_runs"]
    return [run for run in runs if run["dag_run_id"].startswith("due__")]


def until(done: Callable[[], bool], what: str, timeout_s: float = 120.0, every_s: float = 0.25) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(every_s)


def test_a_run_plans_the_next_one_for_when_the_session_is_due_and_that_one_replaces_it(
    airflow: AirflowStandalone, e2e_cluster: Cluster, sessions: AwsAccount
) -> None:
    run = airflow.run(PROVISION, {"blueprint": SESSION})
    assert run.state == "success"
    model_id = run.xcom("smoke_predict")
    sessions.set(longest_session_s=LIFETIME_S)
    run = airflow.run(ROTATE, {"blueprints": [SESSION], "force": True})
    sessions.set(longest_session_s=None)
    short = run.xcom("rotate", map_index=0)
    assert (run.state, short["outcome"], short["source"]) == ("success", "rotated", "assume_role")
    [plan] = planned(airflow)
    assert plan["conf"]["opensearch_conn_id"] == "opensearch_default"
    next_run = DagRun(airflow, ROTATE, plan["dag_run_id"])
    assert next_run.wait() == "success"
    started, due = (datetime.fromisoformat(next_run.details()[key]) for key in ("start_date", "run_after"))
    assert timedelta() <= started - due < timedelta(seconds=15)
    replaced = next_run.xcom("rotate", map_index=0)
    assert (replaced["old_connector"], replaced["model_id"]) == (short["new_connector"], model_id)
    # And so on: half an hour later, because this session lasts an hour.
    assert datetime.fromisoformat(planned(airflow)[-1]["run_after"]) - started > timedelta(minutes=20)


def test_no_key_is_in_any_log_xcom_event_or_row(stack: Stack, model_id: str) -> None:
    """Everything above ran at log level DEBUG."""
    files = [content for path, content in files_below(stack.folder / "airflow") if path.name != "secrets.json"]
    files += [node.log_path.read_bytes() for node in stack.opensearch.nodes]
    whole = b"".join(files)
    account = stack.moto
    assert account
    sessions = [session[part] for session in account.sessions() for part in ("secret_access_key", "session_token")]
    assert sessions
    assert [secret for secret in (FIRST, SECOND, WRONG, *sessions) if secret.encode() in whole] == []
    assert model_id.encode() in whole  # the search does find what is there
