"""A converged fleet of a thousand costs five requests, no write, and little more time than reading its files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from opensearch_ml import canonical, fingerprint
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.fleet import shown
from opensearch_ml.fleet.changes import Kind
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.states import MODEL_DEPLOYED
from tests.conftest import OPENAI_KEY, Cluster, connections
from tests.integration.conftest import CREDENTIAL, prepare
from tests.integration.fleet.conftest import World
from tests.integration.fleet.test_plan_live import SETTLED, another_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MODELS = 1000
AT_ONCE = 8
DEPLOYED_S = 600.0
CPU_S = 8.0  # a bound against a change of kind; it takes about 2


@pytest.fixture
def thousand(
    tmp_path: Path,
    make_blueprint: Callable[..., Blueprint],
    hook36: OpenSearchMLHook,
    cluster36: Cluster,
    sent: list[str],
) -> Iterator[World]:
    """A thousand deployed models, each with a connector of its own, all with one key."""
    folder = tmp_path / "fleet"
    for name in ("blueprints", "targets"):
        (folder / name).mkdir(parents=True)
    world = World(folder, cluster36, sent)
    (folder / "targets" / "t.yaml").write_text(yaml.safe_dump({"blueprints": ["model_*"]}))
    first = make_blueprint("model_0000")
    prepare(hook36, first)
    group_id = hook36.create_model_group({"name": "thousand"})
    mark = fingerprint.fingerprint(CREDENTIAL)

    def make(index: int) -> None:
        blueprint = world.write(first.model_copy(update={"name": f"model_{index:04}"}))
        connector_id = hook36.create_connector(canonical.connector_body(blueprint, CREDENTIAL, mark))
        body = {"name": blueprint.name, "function_name": "remote", "model_group_id": group_id}
        world.ml("POST", "models/_register?deploy=true", {**body, "connector_id": connector_id})

    def _deployed() -> int:
        return sum(one["model_state"] in MODEL_DEPLOYED for one in hook36.search_models({"match_all": {}}))

    make(0)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(make, range(1, MODELS)))
    until = time.monotonic() + DEPLOYED_S
    while (deployed := _deployed()) < MODELS:
        assert time.monotonic() < until, f"{deployed} are deployed"
        time.sleep(1.0)
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": OPENAI_KEY})):
        yield world


def test_a_converged_thousand_needs_nothing_and_one_changed_file_is_one_swap(thousand: World) -> None:
    before = thousand.cluster.writes()
    cpu, wall = time.process_time(), time.monotonic()
    plan = thousand.plan()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(f"{shown.summary(plan)}: {cpu:.2f} s of CPU, {wall:.2f} s, {len(thousand.sent)} requests")
    assert plan.changes == ()
    assert sorted(thousand.sent) == [one for one in SETTLED if one != "get_role_mappings"]
    assert cpu < CPU_S
    thousand.edit("model_0500", another_model)
    assert thousand.found() == [(Kind.SWAP, "model_0500")]
    assert thousand.cluster.writes() == before
