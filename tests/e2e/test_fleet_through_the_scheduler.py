"""Through a real scheduler: a target's models are planned, approved by a person, made, mended, and pruned."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import requests
import yaml

from local.airflow_standalone import ENDED, POLL_S, AirflowStandalone, DagRun
from local.model_endpoints.process import ModelEndpoints
from local.stack import Stack
from tests.support.cluster import Cluster
from tests.support.scheduler_runs import ONE_OF_EACH, TEARDOWN, objects, state_of, told
from tests.support.shared_stack import FLEET, FLEET_BROKEN

RECONCILE, EXAMPLE = "opensearch_ml_reconcile", "search_index"
APPLYING = ("approve", "settings", "apply", "announce", "delete")
MAPPED = {"ml_full_access": {"backend_roles": ["fleet"]}}
MAPPING = "/_plugins/_security/api/rolesmapping/ml_full_access"
READS_S = 2.0  # a person before he answers; Airflow's scheduler looks once a second
SENTENCES = ("The kitten dozed on a sunny windowsill.", "Central banks raised interest rates to slow inflation.")


@pytest.fixture(scope="module")
def target(stack: Stack, e2e_cluster: Cluster) -> Path:
    """The target's file, with the variables that the stack's own target has; three good blueprints and a broken one."""
    path = stack.folder / "targets" / "fleet.yaml"
    variables = yaml.safe_load((stack.folder / "targets" / "local.yaml").read_text())["variables"]
    write(path, variables=variables, settings={"private_ip_enabled": True}, role_mapping=MAPPED)
    return path


def write(path: Path, **changed: Any) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changed}))


def reconcile(airflow: AirflowStandalone, **conf: Any) -> DagRun:
    return airflow.run(RECONCILE, {"targets": ["fleet"], **conf})


def states(run: DagRun, *tasks: str) -> list[str]:
    return [state_of(run, f"fleet.{task}") for task in tasks]


def until(done: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := done()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.25)
    return found


def test_a_plan_alone_is_told_and_writes_nothing(
    airflow: AirflowStandalone, e2e_cluster: Cluster, target: Path
) -> None:
    before = e2e_cluster.writes()
    run = reconcile(airflow)
    assert e2e_cluster.writes() == before
    assert states(run, *APPLYING) == ["skipped"] * len(APPLYING)
    assert "+ create    3 models: fleet_a, fleet_b, fleet_c" in told(run, "fleet.plan")
    # A file with findings cannot be planned, and that fails a run that only reports too.
    assert (run.state, *states(run, "plan", "summary")) == ("failed", "success", "failed")
    assert f"{FLEET_BROKEN}: " in told(run, "fleet.summary")
    assert "fleet: not applied: " in told(run, "fleet.summary")
    assert "Nothing was written (apply: never)." in told(run, "fleet.summary")


def test_from_empty_everything_but_the_broken_one_is_made_and_answers(
    airflow: AirflowStandalone, e2e_cluster: Cluster, target: Path
) -> None:
    run = reconcile(airflow, apply="always", batch_size=2)
    summary = told(run, "fleet.summary")
    assert run.state == "failed"
    assert states(run, "approve", "settings", "announce", "summary") == ["success"] * 3 + ["failed"], summary
    batches = {task["rendered_map_index"] for task in run.tasks() if task["task_id"] == "fleet.apply"}
    assert batches == {"fleet_a … fleet_b (2)", "fleet_c"}
    assert "1 broken" in summary
    assert "client_configs" in summary
    assert [objects(e2e_cluster, name)["models"] for name in (*FLEET, FLEET_BROKEN)] == [1, 1, 1, 0]
    for name in FLEET:
        [model] = e2e_cluster.search("models", {"term": {"name.keyword": name}})
        answer = e2e_cluster.request(
            "POST", f"/_plugins/_ml/models/{model['id']}/_predict", json={"parameters": {"input": ["x"]}}
        )
        assert answer.ok
    events = airflow.api.get("/api/v2/assets/events", params={"source_dag_id": RECONCILE}).json()["asset_events"]
    assert {event["uri"] for event in events} == {f"opensearch-ml://fleet/{name}" for name in FLEET}


def test_a_users_dag_is_started_by_the_models_event_and_finds_by_meaning(
    airflow: AirflowStandalone, e2e_cluster: Cluster
) -> None:
    path = f"/api/v2/dags/{EXAMPLE}/dagRuns"
    [run] = until(lambda: airflow.api.get(path).json()["dag_runs"], "the example's run")
    assert run["run_type"] == "asset_triggered"
    assert DagRun(airflow, EXAMPLE, run["dag_run_id"]).wait() == "success"
    for sentence in SENTENCES:
        e2e_cluster.request("POST", "/articles/_doc?refresh=true", json={"text": sentence}).raise_for_status()
    [model] = e2e_cluster.search("models", {"term": {"name.keyword": FLEET[0]}})
    neural = {"query_text": "cat asleep in warm light", "model_id": model["id"], "k": 2}
    found = e2e_cluster.request("POST", "/articles/_search", json={"query": {"neural": {"embedding": neural}}}).json()
    assert found["hits"]["hits"][0]["_source"]["text"] == SENTENCES[0]
    assert airflow.run(EXAMPLE, {}).state == "success"  # by hand, and everything is there
    e2e_cluster.request("DELETE", "/articles")
    e2e_cluster.request("DELETE", "/_ingest/pipeline/embed-articles")


def test_a_converged_fleet_costs_a_look(airflow: AirflowStandalone, e2e_cluster: Cluster, stack: Stack) -> None:
    broken = stack.folder / "blueprints" / f"{FLEET_BROKEN}.yaml"
    broken.unlink()
    before = e2e_cluster.writes()
    run = reconcile(airflow, apply="always")
    assert e2e_cluster.writes() == before
    assert run.state == "success"
    assert states(run, *APPLYING) == ["skipped"] * len(APPLYING)
    assert "No changes: 3 blueprints, all as they should be" in told(run, "fleet.plan")
    assert "nothing to do; 3 unchanged" in told(run, "fleet.summary")


def test_drift_is_mended_once_a_person_has_approved_it(airflow: AirflowStandalone, e2e_cluster: Cluster) -> None:
    [model] = e2e_cluster.search("models", {"term": {"name.keyword": FLEET[0]}})
    e2e_cluster.request("POST", f"/_plugins/_ml/models/{model['id']}/_undeploy").raise_for_status()
    others = {"backend_roles": ["ml-only"]}
    e2e_cluster.request("PUT", MAPPING, json=others).raise_for_status()

    before = e2e_cluster.writes()
    run = asked(airflow)
    assert e2e_cluster.writes() == before
    assert answered(run, "Reject") == "success"
    assert states(run, *APPLYING) == ["success", *["skipped"] * 4]
    assert e2e_cluster.writes() == before
    assert "Nothing was written (the plan was rejected by " in told(run, "fleet.summary")

    run = asked(airflow)
    assert answered(run, "Approve") == "success"
    assert states(run, "approve", "settings", "announce", "delete") == ["success", "success", "success", "skipped"]
    assert e2e_cluster.get(f"/_plugins/_ml/models/{model['id']}")["model_state"] == "DEPLOYED"
    assert e2e_cluster.get(MAPPING)["ml_full_access"]["backend_roles"] == ["ml-only", "fleet"]


def asked(airflow: AirflowStandalone) -> DagRun:
    """A run that waits for a person, who is shown the plan."""
    run = airflow.trigger(RECONCILE, {"targets": ["fleet"], "apply": "with approval"})
    until(lambda: "fleet.approve" in waiting(run), "a task waits for an answer")
    path = f"{run.path}/taskInstances/fleet.approve/-1/hitlDetails"
    shown = airflow.api.get(path).json()
    assert shown["subject"].startswith("fleet: Plan: 1 setting to change, 1 to redeploy; 2 unchanged")
    assert "**redeploy** `fleet_a`" in shown["body"]
    return run


def answered(run: DagRun, option: str) -> str:
    """Answer as a person does, who reads first, and again if he is asked again; return how the run ended.

    Airflow takes a deferral for failed, and asks again, if the answer is there before its scheduler has seen the
    deferring process end.
    """
    while run.state not in ENDED:
        if "fleet.approve" in waiting(run):
            time.sleep(READS_S)
            with suppress(httpx.HTTPStatusError):  # it was answered already, and is about to go on
                run.answer("fleet.approve", option)
        time.sleep(POLL_S)
    return run.state


def waiting(run: DagRun) -> list[str]:
    return [task["task_id"] for task in run.tasks() if task["state"] in ("awaiting_input", "deferred")]


def test_what_is_wanted_no_more_is_told_and_deleted_only_with_prune(
    airflow: AirflowStandalone, e2e_cluster: Cluster, target: Path
) -> None:
    write(target, blueprints=[FLEET[0]])
    run = reconcile(airflow, apply="always")
    assert (run.state, *states(run, "delete")) == ("success", "skipped")
    assert "2 orphans" in told(run, "fleet.plan")
    stay = f"2 orphans stay, because only a run with parameter prune deletes them: {FLEET[1]}, {FLEET[2]}."
    assert stay in told(run, "fleet.summary")
    assert objects(e2e_cluster, FLEET[2])["models"] == 1
    run = reconcile(airflow, apply="always", prune=True)
    assert (run.state, *states(run, "delete")) == ("success", "success")
    assert [objects(e2e_cluster, name)["models"] for name in FLEET] == [1, 0, 0]
    assert objects(e2e_cluster, FLEET[0]) == ONE_OF_EACH
    assert airflow.run(TEARDOWN, {"blueprint": FLEET[0], "opensearch_conn_id": "os_fleet"}).state == "success"


@pytest.mark.slow  # make test-fleets
def test_a_killed_task_goes_on_where_it_stopped_and_every_model_is_told_of_once(
    airflow: AirflowStandalone, e2e_cluster: Cluster, e2e_endpoints: ModelEndpoints, stack: Stack, target: Path
) -> None:
    patient(stack)
    write(target, blueprints=["fleet_*"])
    e2e_endpoints.behave(family="openai", delay_s=20.0)  # made, deployed, and not asked yet
    run = airflow.trigger(RECONCILE, {"targets": ["fleet"], "apply": "always"})
    until(lambda: are_made(e2e_cluster), "the models are made", 120.0)
    kill(airflow, next(task["id"] for task in run.tasks() if task["task_id"] == "fleet.apply"))
    made = made_for(e2e_cluster)
    e2e_endpoints.behave_normally()
    assert run.wait() == "success", told(run, "fleet.summary")
    [apply] = [task for task in run.tasks() if task["task_id"] == "fleet.apply"]
    assert (apply["state"], apply["try_number"]) == ("success", 2)
    assert made_for(e2e_cluster) == made
    made_by = {"source_dag_id": RECONCILE, "source_run_id": run.run_id}
    events = airflow.api.get("/api/v2/assets/events", params=made_by).json()["asset_events"]
    assert {event["uri"]: event["extra"]["model_id"] for event in events} == {
        f"opensearch-ml://fleet/{name}": model_id for name, model_id in made.items()
    }
    assert len(events) == len(FLEET)
    again = reconcile(airflow, apply="always")
    assert (again.state, *states(again, "apply")) == ("success", "skipped")


def are_made(cluster: Cluster) -> bool:
    """Whether all models of the fleet are there; while the very first one makes the index, the search is refused."""
    with suppress(requests.HTTPError):
        return len(made_for(cluster)) == len(FLEET)
    return False


def made_for(cluster: Cluster) -> dict[str, str]:
    """The ids of the fleet's models, by blueprint; each has one."""
    found = [one for one in cluster.search("models") if one.get("name") in FLEET]
    assert len(found) == len({one["name"] for one in found})
    return {one["name"]: one["id"] for one in found}


def patient(stack: Stack) -> None:
    """Let the connectors wait for a slow platform, and no file have findings."""
    (stack.folder / "blueprints" / f"{FLEET_BROKEN}.yaml").unlink(missing_ok=True)
    for name in FLEET:
        path = stack.folder / "blueprints" / f"{name}.yaml"
        path.write_text(path.read_text().replace("read_timeout: 1", "read_timeout: 60"))


def kill(airflow: AirflowStandalone, task_instance_id: str) -> None:
    """Kill the process that runs a task; the one that watches it stays."""
    family = psutil.Process(airflow.pid).children(recursive=True)
    named = {one.pid: one for one in family if task_instance_id in " ".join(one.cmdline())}
    [running] = [one for one in named.values() if one.ppid() in named or len(named) == 1]
    running.kill()
