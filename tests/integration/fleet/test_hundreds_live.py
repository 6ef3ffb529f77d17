"""A converged fleet of hundreds costs five requests, no write, and little more time than reading its files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials import fingerprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile import render
from opensearch_ml.resources import bodies, canonical
from opensearch_ml.resources.changes import Kind
from opensearch_ml.retries import persistently
from opensearch_ml.steps.deployment import start_deployment
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.fleet_drifts import another_model
from tests.support.fleet_world import SETTLED, World
from tests.support.provisioning import CREDENTIAL, prepare, until_deployed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MODELS = int(os.environ.get("MODELS", "200"))
AT_ONCE = 4
CPU_S = 8.0  # a bound against a change of kind; a thousand take about 2


@pytest.fixture
def hundreds(
    tmp_path: Path,
    make_blueprint: Callable[..., Blueprint],
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    sent: list[str],
) -> Iterator[World]:
    """Deployed models, each with a connector of its own, all with one key."""
    folder = tmp_path / "fleet"
    for name in ("blueprints", "targets"):
        (folder / name).mkdir(parents=True)
    world = World(folder, cluster36, sent)
    (folder / "targets" / "t.yaml").write_text(yaml.safe_dump({"blueprints": ["model_*"]}))
    first = make_blueprint("model_0000")
    prepare(hook36, first)
    mark = fingerprint.fingerprint(CREDENTIAL)

    def make_some(worker: int) -> None:
        group_id = hook36.create_model_group({"name": f"group {worker}"})  # two registers into one at once collide
        for index in range(worker, MODELS, AT_ONCE):
            make(index, group_id)

    def make(index: int, group_id: str) -> None:
        blueprint = world.write(first.model_copy(update={"name": f"model_{index:04}"}))
        connector_id = hook36.create_connector(canonical.connector_body(blueprint, CREDENTIAL, mark))
        body = bodies.model(blueprint, model_group_id=group_id, connector_id=connector_id)
        model_id = hook36.register_model(body)
        task_id = start_deployment(hook36, model_id)
        persistently(lambda: until_deployed(hook36, model_id, task_id))  # a node queues a hundred tasks, and no more

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(make_some, range(AT_ONCE)))
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": OPENAI_KEY})):
        yield world


def test_a_converged_fleet_of_hundreds_needs_nothing_and_one_changed_file_is_one_swap(hundreds: World) -> None:
    before = hundreds.cluster.writes()
    cpu, wall = time.process_time(), time.monotonic()
    plan = hundreds.plan()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(f"{render.summary(plan)}: {cpu:.2f} s of CPU, {wall:.2f} s, {len(hundreds.sent)} requests")
    assert plan.changes == ()
    assert sorted(hundreds.sent) == [one for one in SETTLED if one != "get_role_mappings"]
    assert cpu < CPU_S
    hundreds.edit("model_0150", another_model)
    assert hundreds.found() == [(Kind.SWAP, "model_0150")]
    assert hundreds.cluster.writes() == before
