"""A hundred blueprints on a stack of their own, models of somebody else beside them, and ways to kill who applies."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import requests

from local.airflow_standalone import POLL_S, AirflowStandalone, DagRun
from local.stack import Stack
from tests.support.cluster import Cluster
from tests.support.repository import REPOSITORY
from tests.support.rotation_world import Load, load

RECONCILE, TARGET = "opensearch_ml_reconcile", "fleet"
COUNT, INLINE = 100, 5  # every fifth has its connector inside
EXACT = {"connectors": COUNT - COUNT // INLINE, "models": COUNT, "model_groups": COUNT}
NONE = dict.fromkeys(EXACT, 0)
EMBEDDING = REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml"
STANDING, PREDICT = 3, {"parameters": {"input": ["A short sentence."]}}


@dataclass
class Hundred:
    """The fleet, what stands of it, and what was told of it."""

    stack: Stack
    cluster: Cluster

    @property
    def airflow(self) -> AirflowStandalone:
        """The Airflow that runs now."""
        assert self.stack.airflow
        return self.stack.airflow

    def begin(self) -> DagRun:
        """Apply, and do not wait."""
        return self.airflow.trigger(RECONCILE, {"targets": [TARGET], "apply": "always"})

    def known(self, run: DagRun) -> DagRun:
        """The same run, asked of the Airflow that runs now."""
        return DagRun(self.airflow, run.dag_id, run.run_id)

    def models(self) -> dict[str, dict[str, Any]]:
        """The fleet's, by blueprint; none has two. While the very first one makes the index, there is none."""
        with suppress(requests.HTTPError):
            found = [one for one in self.cluster.search("models") if one["name"].startswith("model_")]
            assert len(found) == len({one["name"] for one in found})
            return {one["name"]: one for one in found}
        return {}

    def states(self) -> dict[str, int]:
        """How many models are in which state."""
        return dict(Counter(one["model_state"] for one in self.models().values()))

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        ours = {"term": {"parameters.opensearch_ml_owner": "opensearch_ml"}}
        groups = [one for one in self.cluster.search("model_groups") if one["name"].startswith("model_")]
        return {
            "connectors": len(self.cluster.search("connectors", ours)),
            "models": len(self.models()),
            "model_groups": len(groups),
        }

    def give_up(self) -> None:
        """Do what a person does who does not wait for a run any more: mark all that have not ended as failed."""
        path = f"/api/v2/dags/{RECONCILE}/dagRuns"
        for state in ("running", "queued"):
            for run in self.airflow.api.get(path, params={"state": state}).json()["dag_runs"]:
                told = {"state": "failed"}
                self.airflow.api.patch(f"{path}/{run['dag_run_id']}", json=told).raise_for_status()

    def until_made(self, count: int, *states: str, timeout_s: float = 900.0) -> None:
        """Wait until so many models are registered, or are in one of some states."""
        deadline = time.monotonic() + timeout_s
        while sum(not states or one["model_state"] in states for one in self.models().values()) < count:
            assert time.monotonic() < deadline, f"{self.counts()} {self.states()} after {timeout_s:g} s"
            time.sleep(POLL_S)

    def events(self) -> list[dict[str, Any]]:
        """What was told of models, ever."""
        found: list[dict[str, Any]] = []
        while True:  # the API gives no more than a hundred at once
            asked: dict[str, str | int] = {"source_dag_id": RECONCILE, "limit": 100, "order_by": "timestamp"}
            asked["offset"] = len(found)
            answer = self.airflow.api.get("/api/v2/assets/events", params=asked)
            answer.raise_for_status()
            page = answer.json()
            found += page["asset_events"]
            if len(found) >= page["total_entries"]:
                return found

    def told(self) -> Counter[tuple[str, str]]:
        """How often which model was told of: by blueprint and model, of those that stand."""
        standing = {(name, one["id"]) for name, one in self.models().items()}
        said = ((one["uri"].rpartition("/")[2], one["extra"]["model_id"]) for one in self.events())
        return Counter(one for one in said if one in standing)

    def clear(self) -> None:
        """Delete the fleet, and nothing else; no event is about a model that stands any more."""
        for one in self.models().values():
            self.cluster.request("POST", f"/_plugins/_ml/models/{one['id']}/_undeploy")
            self.cluster.request("DELETE", f"/_plugins/_ml/models/{one['id']}").raise_for_status()
        ours = {"term": {"parameters.opensearch_ml_owner": "opensearch_ml"}}
        for one in self.cluster.search("connectors", ours):
            self.cluster.request("DELETE", f"/_plugins/_ml/connectors/{one['id']}").raise_for_status()
        for one in self.cluster.search("model_groups"):
            if one["name"].startswith("model_"):
                self.cluster.request("DELETE", f"/_plugins/_ml/model_groups/{one['id']}").raise_for_status()

    def let_others_in(self) -> None:
        """Trust the model endpoints, and call this machine: what the models of somebody else need."""
        trusted = {"trusted_connector_endpoints_regex": [r"^http://127\.0\.0\.1:[0-9]+/.*$"]}
        known = {**trusted, "connector.private_ip_enabled": True}
        body = {"persistent": {f"plugins.ml_commons.{name}": value for name, value in known.items()}}
        self.cluster.request("PUT", "/_cluster/settings", json=body).raise_for_status()

    @contextmanager
    def traffic(self) -> Iterator[list[Load]]:
        """Ask the models of somebody else all the time, while the block runs."""
        with ExitStack() as loads:
            yield [loads.enter_context(load(self.cluster, one, PREDICT, per_second=5)) for one in self.others()]

    def others(self) -> list[str]:
        """The ids of the models of somebody else, made if they are not there."""
        found = {one["name"]: one["id"] for one in self.cluster.search("models")}
        return [found.get(name) or self._by_hand(name) for name in (f"by hand {n}" for n in range(STANDING))]

    def _by_hand(self, name: str) -> str:
        endpoints = self.stack.model_endpoints
        assert endpoints
        action = {
            "action_type": "predict",
            "method": "POST",
            "url": f"{endpoints.url}/v1/embeddings",
            "headers": {"Authorization": "Bearer ${credential.key}"},
            "request_body": '{"input": ${parameters.input}, "model": "text-embedding-3-small"}',
        }
        body = {
            **{"name": name, "version": 1, "protocol": "http", "actions": [action]},
            "credential": {"key": self.stack.keys["openai"][0]},
        }
        # The server's in-use check splits ids at "-": one that has none keeps no connector of ours from its deletion.
        while "-" in (connector_id := self._made("connectors/_create", body)["connector_id"]):
            self.cluster.request("DELETE", f"/_plugins/_ml/connectors/{connector_id}").raise_for_status()
        model = {"name": name, "function_name": "remote", "connector_id": connector_id}
        model_id = str(self._made("models/_register", model)["model_id"])
        self._made(f"models/{model_id}/_deploy", {})
        self.cluster.writes()  # waits until it is deployed
        return model_id

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.cluster.request("POST", f"/_plugins/_ml/{path}", json=body)
        answer.raise_for_status()
        return dict(answer.json())


def kill_all(processes: Callable[[], list[psutil.Process]]) -> int:
    """Kill processes at once, as if their machine had gone: none has the time to notice, or to begin another.

    :param processes: who they are; asked again, once none of them can begin another one.
    :return: how many they were.
    """
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        killed = processes()
        for one in killed:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(sent)
    while any(map(_runs, killed)):
        time.sleep(POLL_S)
    return len(killed)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # whose parent takes no notice of it
    return False


def scheduler_and_workers(airflow: AirflowStandalone) -> list[psutil.Process]:
    """The scheduler's process and all below it: workers, those that watch tasks, and tasks."""
    [scheduler] = [one for one in psutil.Process(airflow.pid).children() if "scheduler" in " ".join(one.cmdline())]
    return [scheduler, *scheduler.children(recursive=True)]


def task_and_watcher(airflow: AirflowStandalone, task_instance_id: str) -> list[psutil.Process]:
    """The process that runs a task, and the one that watches it: what dies with a worker's machine."""
    family = psutil.Process(airflow.pid).children(recursive=True)
    return [one for one in family if task_instance_id in " ".join(one.cmdline())]
