"""How long the provisioning chain takes, beside a chain of as many no-op tasks and beside the bare API calls.

Run: ``make bench``. All three run in turn on one embedded stack, so that only their ratios are worth quoting.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from opensearchpy import OpenSearch

from benchmarks.dags.noop_chain import TASKS
from benchmarks.measuring import run
from local.airflow_standalone import REPOSITORY
from local.minilm import DIMENSIONS
from local.stack import Stack

ROUNDS = 5
BLUEPRINT = {"blueprint": "openai_embedding"}


def main() -> None:
    """Start a stack of its own, measure, print the table, stop the stack."""
    with tempfile.TemporaryDirectory() as folder:
        dags = Path(folder) / "dags"
        shutil.copytree(REPOSITORY / "dags", dags)
        shutil.copytree(REPOSITORY / "benchmarks" / "dags", dags, dirs_exist_ok=True)
        stack = Stack(Path(folder) / "stack", environment={"AIRFLOW__CORE__DAGS_FOLDER": str(dags)})
        try:
            stack.up()
            measure(stack)
        finally:
            stack.reset()


def measure(stack: Stack) -> None:
    """Measure in turn, several rounds, and print medians and ratios."""
    airflow = stack.airflow
    assert airflow is not None
    run(airflow, "opensearch_ml_provision", BLUEPRINT)  # the cluster's first connector creates its key: not measured
    run(airflow, "noop_chain", {})
    chains: dict[str, Callable[[], float]] = {
        "bare API calls": lambda: bare_calls(stack),
        f"{TASKS} no-op tasks": lambda: run(airflow, "noop_chain", {}),
        "provision, from nothing": lambda: run(airflow, "opensearch_ml_provision", BLUEPRINT),
        "provision again, nothing to write": lambda: run(airflow, "opensearch_ml_provision", BLUEPRINT),
    }
    seconds: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}", flush=True)
        run(airflow, "opensearch_ml_teardown", BLUEPRINT)
        for name, measured in chains.items():
            seconds.setdefault(name, []).append(measured())
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    noop, bare = medians[f"{TASKS} no-op tasks"], medians["bare API calls"]
    print(f"\n| chain (median of {ROUNDS}) | seconds | x no-op tasks | x bare API calls |\n|---|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} | {median / noop:.2f} | {median / bare:.1f} |")


def bare_calls(stack: Stack) -> float:
    """Make and remove the same by the calls of the documentation; return the seconds that the making took."""
    endpoints = stack.model_endpoints
    assert endpoints is not None
    client = OpenSearch(
        stack.opensearch.url,
        http_auth=(stack.opensearch.admin_user, stack.opensearch.admin_password),
        ca_certs=str(stack.opensearch.ca_path),
    )
    ml = client.plugins.ml
    name = "plugins.ml_commons.trusted_connector_endpoints_regex"
    setting = {"persistent": {name: [f"^{endpoints.url}/.*$"]}}
    connector = {
        "name": "bare",
        "version": 1,
        "protocol": "http",
        "credential": {"key": stack.keys["openai"][0]},
        "parameters": {"model": "text-embedding-3-small"},
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": f"{endpoints.url}/v1/embeddings",
                "headers": {"Authorization": "Bearer ${credential.key}"},
                "request_body": '{ "input": ${parameters.input}, "model": "${parameters.model}" }',
                "pre_process_function": "connector.pre_process.openai.embedding",
                "post_process_function": "connector.post_process.openai.embedding",
            }
        ],
    }
    started = time.monotonic()
    client.cluster.put_settings(body=setting)
    connector_id = ml.create_connector(body=connector)["connector_id"]
    group_id = ml.register_model_group(body={"name": "bare"})["model_group_id"]
    body = {"name": "bare", "function_name": "remote", "model_group_id": group_id, "connector_id": connector_id}
    model_id = ml.register_model(body=body)["model_id"]
    task_id = ml.deploy_model(model_id=model_id)["task_id"]
    until(lambda: ml.get_task(task_id=task_id)["state"] == "COMPLETED")
    answer = ml.predict_model(model_id=model_id, body={"parameters": {"input": ["A short sentence."]}})
    took = time.monotonic() - started
    assert len(answer["inference_results"][0]["output"][0]["data"]) == DIMENSIONS
    ml.undeploy_model(model_id=model_id)
    ml.delete_model(model_id=model_id)
    ml.delete_connector(connector_id=connector_id)
    ml.delete_model_group(model_group_id=group_id)
    client.cluster.put_settings(body={"persistent": {name: None}})
    return took


def until(done: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Ask again and again, without a pause worth measuring."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("a deploy task did not complete")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
