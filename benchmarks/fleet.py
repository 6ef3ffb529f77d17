"""How long a fleet takes from empty, and what it costs once it is as it should be, beside the bare API calls.

Run: ``make bench``. All in turn on one embedded stack, so that only the ratios are worth quoting. The bare calls make
the same objects as the DAG does, as many at once, in one process, and ask each model once; they look for nothing that
is there already, keep no marks, and would begin again from nothing after a failure.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import counted, run, seconds
from benchmarks.peer import environment
from benchmarks.peer.command import Cluster, Peer, provision
from local.airflow_standalone import REPOSITORY
from local.stack import PLATFORM_CONNECTION, Stack
from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import folders
from opensearch_ml.errors import InUse
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators.fleet import BATCHES_AT_ONCE
from opensearch_ml.reconcile.apply import AT_ONCE
from opensearch_ml.reconcile.planning import plan_for
from opensearch_ml.resources import bodies, canonical
from opensearch_ml.retries import persistently
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints

MODELS = int(os.environ.get("MODELS", "100"))
PEER_MODELS = 10
FLEET = int(os.environ.get("FLEET", "1000"))
RECONCILE, TARGET = "opensearch_ml_reconcile", "local"
APPLY = {"apply": "always", "targets": [TARGET]}
LANES = BATCHES_AT_ONCE * AT_ONCE


def main() -> None:
    """Start a stack of its own, measure, print the tables, stop the stack."""
    with tempfile.TemporaryDirectory() as folder:
        blueprints = Path(folder) / "blueprints"
        blueprints.mkdir()
        settings = {"AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER": str(blueprints)}
        stack = Stack(Path(folder) / "stack", environment=settings)
        try:
            stack.up()
            os.environ.update(stack.airflow_environment())
            os.environ[f"AIRFLOW_CONN_{PLATFORM_CONNECTION.upper()}"] = _connection(stack.keys["openai"][0])
            target = stack.folder / "targets" / f"{TARGET}.yaml"
            target.write_text(yaml.safe_dump({**yaml.safe_load(target.read_text()), "blueprints": ["model_*"]}))
            from_empty(stack, blueprints)
            if FLEET > MODELS:
                converged(stack, blueprints)
        finally:
            stack.reset()


def from_empty(stack: Stack, folder: Path) -> None:
    """Measure how long `MODELS` take from an empty cluster, and once more when nothing is to be done."""
    assert stack.airflow is not None
    write_blueprints(folder, MODELS)
    hook, key = OpenSearchMLHook(), stack.keys["openai"][0]
    loaded = [folders.catalog().blueprint(name) for name in folders.catalog().blueprint_names()]
    ensure_ml_settings(hook, {"plugins.ml_commons.connector.private_ip_enabled": True})
    ensure_trusted_endpoints(hook, loaded[0].trusted)
    bare(hook, loaded[:1], key)  # creates the indices and the key of the cluster
    bare(hook, loaded[:LANES], key)  # loads classes
    bare_s = bare(hook, loaded, key)
    dag_s = run(stack.airflow, RECONCILE, APPLY)
    again_s = run(stack.airflow, RECONCILE, APPLY)
    peer_s = by_the_peer(stack, unmarked(loaded[0], key))
    print(
        f"\n| from empty, {LANES} at once | models | seconds | seconds each | x bare API calls |\n|---|---|---|---|---|"
    )
    for name, models, took_s in (
        ("bare: create, register, deploy, ask", MODELS, bare_s),
        ("the DAG", MODELS, dag_s),
        ("the DAG again, nothing to do", MODELS, again_s),
        ("opensearch-py-ml's command line, one by one, not asked", PEER_MODELS, peer_s),
    ):
        each_s = took_s / models
        print(f"| {name} | {models} | {took_s:.1f} | {each_s:.2f} | {each_s / (bare_s / MODELS):.2f} |")


def converged(stack: Stack, folder: Path) -> None:
    """Measure what `FLEET` models cost when nothing is to be done, and when one file has changed."""
    assert stack.airflow is not None
    write_blueprints(folder, FLEET)
    grown_s = run(stack.airflow, RECONCILE, APPLY)
    print(f"{FLEET - MODELS} more made in {grown_s:.0f} s", flush=True)
    hook = OpenSearchMLHook()
    catalog = folders.catalog()
    target, names = catalog.fleet(TARGET)
    with counted() as asked:
        cpu_s, plan_s = time.process_time(), seconds(lambda: plan_for(hook, catalog, target, names))
        cpu_s = time.process_time() - cpu_s
    idle_s = run(stack.airflow, RECONCILE, APPLY)
    change(folder / "model_0500.yaml" if FLEET > 500 else folder / "model_0001.yaml")
    one_s = run(stack.airflow, RECONCILE, APPLY)
    command_s, peak_mb = command("plan", "--target", TARGET, "--targets", str(stack.folder / "targets"))
    print(f"\n| {FLEET} models as they should be | seconds | requests |\n|---|---|---|")
    print(f"| plan, in the task | {plan_s:.2f} ({cpu_s:.2f} of CPU) | {asked.total()} |")
    print(f"| the DAG, nothing to do | {idle_s:.1f} | |")
    print(f"| the DAG, one file changed: one swap | {one_s:.1f} | |")
    print(f"| python -m opensearch_ml plan, {peak_mb:.0f} MB at its peak | {command_s:.1f} | |")


def write_blueprints(folder: Path, many: int) -> None:
    """Write as many blueprints as there are to be models."""
    text = (REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml").read_text()
    # The grace of a swap is as long as the read timeout.
    text = text.replace("read_timeout: 30", "read_timeout: 1")
    for number in range(many):
        (folder / f"model_{number:04}.yaml").write_text(text)


def change(path: Path) -> None:
    """Change what a connector sends."""
    path.write_text(path.read_text().replace("read_timeout: 1", "read_timeout: 2"))


def bare(hook: OpenSearchMLHook, blueprints: list[Blueprint], key: str) -> float:
    """Make models by the calls of the documentation, and remove them; return the seconds that the making took."""
    made: list[dict[str, str]] = []
    with ThreadPoolExecutor(LANES) as pool:
        took_s = seconds(lambda: made.extend(pool.map(partial(make, hook, key), blueprints)))
        list(pool.map(partial(remove, hook), made))
    return took_s


def make(hook: OpenSearchMLHook, key: str, blueprint: Blueprint) -> dict[str, str]:
    """Make one model, wait until it is deployed, and ask it."""
    connector = hook.create_connector(unmarked(blueprint, key))
    group = hook.create_model_group(bodies.model_group(blueprint))
    model = hook.register_model(bodies.model(blueprint, model_group_id=group, connector_id=connector))
    persistently(partial(deploy, hook, model))
    assert blueprint.smoke_test is not None
    hook.predict(model, blueprint.smoke_test.parameters)
    return {"connector": connector, "group": group, "model": model}


def unmarked(blueprint: Blueprint, key: str) -> dict[str, Any]:
    """Return a connector's body as somebody else would write it."""
    body = canonical.connector_body(blueprint, {"openAI_key": key}, "bare")
    others = {name: value for name, value in body["parameters"].items() if not name.startswith(OWNER)}
    return {**body, "parameters": others}


def by_the_peer(stack: Stack, body: dict[str, Any]) -> float:
    """Have the peer make `PEER_MODELS`; return the seconds, without its installation and set-up."""
    cluster = stack.opensearch
    program = environment.install()
    with tempfile.TemporaryDirectory() as folder:
        told = Cluster(cluster.url, cluster.admin_user, cluster.ca_path, cluster.admin_password)
        peer = Peer(program, Path(folder), told)
        peer.set_up()
        names = [f"By the peer {number}" for number in range(PEER_MODELS)]
        return sum(one.seconds for one in provision(peer, names, body))


def deploy(hook: OpenSearchMLHook, model_id: str) -> None:
    """Deploy a model, and wait for it."""
    task_id = hook.deploy_model(model_id)
    while (task := hook.get_task(task_id) or {}).get("state") != "COMPLETED":
        if task.get("state") == "FAILED":
            raise SystemExit(f"deploy task {task_id} failed: {task.get('error')}")
        time.sleep(0.02)


def remove(hook: OpenSearchMLHook, made: dict[str, str]) -> None:
    """Take one away again; the server may keep the connector, if it takes it for one whose id has a hyphen."""
    hook.undeploy_model(made["model"])
    hook.delete_model(made["model"])
    hook.delete_model_group(made["group"])
    with suppress(InUse):
        hook.delete_connector(made["connector"])


def command(*arguments: str) -> tuple[float, float]:
    """Run a command of ours; return its seconds, and its peak of memory in MB."""
    work = partial(
        subprocess.run, [sys.executable, "-m", "opensearch_ml", *arguments], stdout=subprocess.DEVNULL, check=False
    )
    took_s = seconds(work)
    return took_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _connection(key: str) -> str:
    return f'{{"conn_type": "generic", "password": "{key}"}}'


if __name__ == "__main__":
    main()
