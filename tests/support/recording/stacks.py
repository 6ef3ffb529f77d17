"""The stacks that the recorder starts: their keys and the port of their model endpoints are the same each time.

Hashes that we keep (of a credential, of a difference in a plan) depend on both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from local.airflow_standalone import REPOSITORY, AirflowStandalone, DagRun
from local.model_endpoints.keys import save_keys
from local.model_endpoints.process import ModelEndpoints
from local.stack import Stack
from tests.support.recording.airflow_rows import AirflowRows

FIRST, SECOND, REFUSED = (f"sk-recorded-{name}-no-real-key" for name in ("first", "second", "refused"))
ENDPOINTS_PORT = 18790
WRITTEN_PORTS = {"opensearch": 9200, "moto": 5000, "gateway": 8443, "airflow": 8080, "model endpoints": ENDPOINTS_PORT}
PROVISION, ROTATE = "opensearch_ml_provision", "opensearch_ml_rotate_credentials"
RECONCILE, TEARDOWN = "opensearch_ml_reconcile", "opensearch_ml_teardown"
WAITS = REPOSITORY / "tests" / "e2e" / "domain" / "dags"
S = TypeVar("S", bound=Stack)


class Runs:
    """The runs of a stack by label, and the XComs of each.

    :ivar recorded: by label: DAG, parameters, state and XComs.
    """

    def __init__(self, airflow: AirflowStandalone, rows: AirflowRows) -> None:
        self.airflow, self.rows = airflow, rows
        self.by_label: dict[str, DagRun] = {}
        self.recorded: dict[str, dict[str, Any]] = {}

    def start(self, label: str, dag_id: str, **conf: Any) -> DagRun:
        """Start a run."""
        print(f"    {label}", flush=True)
        self.by_label[label] = self.airflow.trigger(dag_id, conf)
        return self.by_label[label]

    def record(self, label: str, *, moment: str = "") -> None:
        """Record a run as it is now.

        :param moment: label for a run that has not ended.
        """
        run = self.by_label[label]
        details = run.details()
        self.recorded[moment or label] = {
            **{key: details[key] for key in ("dag_id", "dag_run_id", "run_type", "conf", "state")},
            "xcoms": self.rows.xcoms(run),
        }

    def finish(self, label: str, state: str = "success") -> None:
        """Wait for a run's end and record it.

        :raises RuntimeError: it ended in another state.
        """
        run = self.by_label[label]
        ended = run.wait()
        self.record(label)
        if ended != state:
            logs = {
                task["task_id"]: run.log(task["task_id"], map_index=task["map_index"])[-3000:]
                for task in run.tasks()
                if task["state"] == "failed"
            }
            raise RuntimeError(f"{label} ended as {ended}, and {state} was expected: {json.dumps(logs, indent=1)}")

    def run(self, label: str, dag_id: str, state: str = "success", **conf: Any) -> None:
        """Start a run, wait for its end and record it."""
        self.start(label, dag_id, **conf)
        self.finish(label, state)


@contextmanager
def running(stack: S, version_folder: Path, target: dict[str, Any]) -> Iterator[Runs]:
    """Start a stack with the recorded blueprints; all of it is deleted afterwards.

    :param target: the target ``local``, as far as the stack does not write it itself.
    """
    stack.folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(version_folder / "blueprints", stack.folder / "blueprints")
    (stack.folder / "targets").mkdir()
    stack.target_path.write_text(yaml.safe_dump({"opensearch_conn_id": "opensearch_default", **target}))
    aws = {"access_key_id": "AKIARECORDEDNOREALK7", "secret_access_key": "recorded-no-real-secret-key"}
    save_keys(stack.folder / "keys.json", {"openai": [FIRST], "cohere": ["recorded-cohere-no-real-key"], "aws": [aws]})
    (stack.folder / "stack.json").write_text(json.dumps({"model endpoints port": ENDPOINTS_PORT}))
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(path)},
        }
        for name, path in {"dags": REPOSITORY / "dags", "waits": WAITS}.items()
    ]
    stack.environment |= {
        "AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER": str(stack.folder / "blueprints"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    }
    try:
        stack.up()
        if not stack.airflow or endpoints_of(stack).url.rpartition(":")[2] != str(ENDPOINTS_PORT):
            raise RuntimeError(f"port {ENDPOINTS_PORT} is not free, or Airflow does not run")
        yield Runs(stack.airflow, AirflowRows(stack.folder / "airflow"))
    finally:
        stack.reset()


def endpoints_of(stack: Stack) -> ModelEndpoints:
    """Return the model endpoints of a stack that runs."""
    endpoints = stack.model_endpoints
    assert endpoints
    return endpoints


def change_target(stack: Stack, *, variables: dict[str, Any] | None = None, **fields: Any) -> None:
    """Do what a person does in the target's file."""
    kept = yaml.safe_load(stack.target_path.read_text())
    changed = {**kept, **fields, "variables": {**kept["variables"], **(variables or {})}}
    stack.target_path.write_text(yaml.safe_dump(changed, sort_keys=False))


def ports_of(stack: Stack) -> dict[int, int]:
    """Return, by the port that a server of a stack has, the port that is written."""
    return {int(url.rpartition(":")[2].strip("/")): WRITTEN_PORTS[name] for name, url in stack.running().items()}
