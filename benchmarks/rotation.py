"""How long a rotation of 100 models takes, with nothing to do and with all to do, beside the bare API calls.

Run: ``make bench``. All in turn on one embedded stack, so that only their ratios are worth quoting. The bare calls make
the same connectors, test them, switch and delete, one model after the other, but prove nothing and wait for no call in
flight; a rotation waits three seconds for those, of which eight pass at once.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import counted, run, seconds
from local.airflow_standalone import REPOSITORY
from local.stack import Stack
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import folders
from opensearch_ml.credentials import fingerprint
from opensearch_ml.errors import InUse
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import canonical
from opensearch_ml.resources.read import read_fleet
from opensearch_ml.rotation.selection import standings
from opensearch_ml.rotation.sources import source_for
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints
from opensearch_ml.steps.deployment import look_at_deployment, start_deployment

MODELS = 100
ROTATE = "opensearch_ml_rotate_credentials"
CONNECTION = "bench_key"
TEXT = {"input": ["A short sentence."]}


def main() -> None:
    """Start a stack of its own with 100 models, measure, print the table, stop the stack."""
    with tempfile.TemporaryDirectory() as folder:
        blueprints = Path(folder) / "blueprints"
        write_blueprints(blueprints)
        settings = {"AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER": str(blueprints)}
        stack = Stack(Path(folder) / "stack", environment=settings)
        try:
            stack.up()
            os.environ.update(stack.airflow_environment())
            measure(stack)
        finally:
            stack.reset()


def write_blueprints(folder: Path) -> None:
    """Write as many blueprints as there are models, all with one connection."""
    folder.mkdir()
    text = (REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml").read_text()
    # The grace of a rotation is as long as the read timeout.
    text = text.replace("openai_default", CONNECTION).replace("read_timeout: 30", "read_timeout: 1")
    for number in range(MODELS):
        (folder / f"model_{number:03}.yaml").write_text(text)


def measure(stack: Stack) -> None:
    """Measure in turn and print the table."""
    airflow, endpoints = stack.airflow, stack.model_endpoints
    assert airflow is not None
    assert endpoints is not None
    keys = [f"sk-bench-{secrets.token_hex(12)}" for _ in range(2)]
    endpoints.replace_keys({**stack.keys, "openai": [*stack.keys["openai"], *keys]})
    airflow.write_connection(CONNECTION, password=keys[0])
    hook = OpenSearchMLHook()
    loaded = [folders.catalog().blueprint(name) for name in folders.catalog().blueprint_names()]
    models = make_models(hook, loaded, keys[0])
    print(f"{len(models)} models are served", flush=True)

    os.environ[f"AIRFLOW_CONN_{CONNECTION.upper()}"] = f'{{"conn_type": "generic", "password": "{keys[0]}"}}'
    with counted() as bare:
        bare_s = seconds(lambda: read_fleet(OpenSearchMLHook()))
    with counted() as looked:
        found: list[Any] = []
        find_s = seconds(lambda: found.extend(find(OpenSearchMLHook(), loaded)))
    assert not [standing for standing in found if standing.why]
    idle_s = run(airflow, ROTATE, {})
    airflow.write_connection(CONNECTION, password=keys[1])
    with counted() as swapped:
        swap_s = seconds(lambda: bare_swaps(hook, loaded, models, keys[0]))
    rotate_s = run(airflow, ROTATE, {})

    print(f"\n| {MODELS} models | seconds | requests | x bare API calls |\n|---|---|---|---|")
    for name, took_s, requests, against_s in (
        ("bare: two searches, and the version", bare_s, bare, bare_s),
        ("nothing to do: look and compare every credential", find_s, looked, bare_s),
        ("nothing to do: the DAG", idle_s, looked, bare_s),
        ("bare: create, test, switch, delete", swap_s, swapped, swap_s),
        ("all to do: the DAG", rotate_s, None, swap_s),
    ):
        count = sum(requests.values()) if requests is not None else ""
        print(f"| {name} | {took_s:.2f} | {count} | {took_s / against_s:.1f} |")


def make_models(hook: OpenSearchMLHook, blueprints: list[Blueprint], key: str) -> dict[str, str]:
    """Provision all by the bare calls, one fingerprint for all; return the models' ids by blueprint."""
    ensure_ml_settings(hook, {"plugins.ml_commons.connector.private_ip_enabled": True})
    ensure_trusted_endpoints(hook, blueprints[0].trusted)
    known = fingerprint.fingerprint({"openAI_key": key})
    group_id = hook.create_model_group({"name": "bench"})
    made = {}
    for blueprint in blueprints:
        connector_id = hook.create_connector(canonical.connector_body(blueprint, {"openAI_key": key}, known))
        made[blueprint.name] = deployed(hook, blueprint.model_name, group_id, connector_id)
    return made


def deployed(hook: OpenSearchMLHook, name: str, group_id: str, connector_id: str) -> str:
    """Register and deploy a model."""
    body = {"name": name, "function_name": "remote", "model_group_id": group_id, "connector_id": connector_id}
    model_id = hook.register_model(body)
    task_id = start_deployment(hook, model_id)
    while not look_at_deployment(hook, model_id, task_id).done:
        time.sleep(0.02)
    return model_id


def find(hook: OpenSearchMLHook, blueprints: list[Blueprint]) -> list[Any]:
    """Do what task `find` does, in this process."""
    by_name = {blueprint.name: blueprint for blueprint in blueprints}
    return standings(
        read_fleet(hook),
        by_name,
        load=lambda name: by_name[name],
        source_for=lambda blueprint: source_for(blueprint, hook),
    )


def bare_swaps(hook: OpenSearchMLHook, blueprints: list[Blueprint], models: dict[str, str], key: str) -> None:
    """Give each model another connector with the same key by the documented calls, and delete the one before."""
    known = fingerprint.fingerprint({"openAI_key": key})
    group_id = str((hook.get_model(next(iter(models.values()))) or {})["model_group_id"])
    for blueprint in blueprints:
        model_id = models[blueprint.name]
        old_id = str((hook.get_model(model_id) or {})["connector_id"])
        new_id = hook.create_connector(canonical.connector_body(blueprint, {"openAI_key": key}, known))
        canary_id = deployed(hook, f"canary of {blueprint.name}", group_id, new_id)
        hook.predict(canary_id, TEXT)
        hook.update_model(model_id, {"connector_id": new_id})
        hook.undeploy_model(canary_id)
        hook.delete_model(canary_id)
        delete_if_let(hook, old_id)


def delete_if_let(hook: OpenSearchMLHook, connector_id: str) -> None:
    """Delete a connector, unless the server takes it for another's whose id has a hyphen."""
    try:
        hook.delete_connector(connector_id)
    except InUse as kept:
        print(f"kept by the server: {kept.evidence[:80]}")


if __name__ == "__main__":
    main()
