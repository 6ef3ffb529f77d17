"""Models in the states that two nodes can bring them to: found, named, and deployed everywhere again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.opensearch import OpenSearchCluster
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.changes import Kind
from tests.support.applies import apply_plan, outcomes
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.fleet_world import World
from tests.support.provisioning import provision

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LEFT_TO_US = {
    "plugins.ml_commons.sync_up_job_interval_in_seconds": 1,
    "plugins.ml_commons.model_auto_redeploy.enable": False,
}


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    opensearch = OpenSearchCluster(tmp_path_factory.mktemp("two-nodes"), nodes=2, preferred_port=0, heap="512m")
    try:
        opensearch.start()
        opensearch.wait_until_healthy()
        cluster = Cluster(opensearch, opensearch.version)
        cluster.wait_out_the_redeployment()
        yield cluster
    finally:
        opensearch.delete()


@pytest.fixture
def pair(
    two_nodes: Cluster, tmp_path: Path, make_blueprint: Callable[..., Blueprint], sent: list[str]
) -> Iterator[World]:
    """One model on two nodes."""
    two_nodes.clean()
    folder = tmp_path / "fleet"
    for name in ("blueprints", "targets"):
        (folder / name).mkdir(parents=True)
    made = World(folder, two_nodes, sent)
    (folder / "targets" / "t.yaml").write_text("blueprints: [model_1]\nsettings: {private_ip_enabled: true}\n")
    key = json.dumps({"conn_type": "generic", "password": OPENAI_KEY})
    with connections(opensearch_default=two_nodes.connection(), openai_default=key):
        hook = OpenSearchMLHook()
        # Else the server mends it by itself, sooner or later, and sees only after ten seconds that it is to be mended.
        hook.put_cluster_settings(LEFT_TO_US)
        made.models["model_1"] = provision(hook, made.write(make_blueprint("model_1")))
        two_nodes.writes()
        yield made
    two_nodes.clean()


def mend(world: World, state: str) -> None:
    world.until_searchable()
    plan = world.plan()
    assert [(one.kind, one.what) for one in plan.changes] == [(Kind.REDEPLOY, "model_1")]
    assert state in plan.changes[0].why
    assert outcomes(apply_plan(world, plan)) == {"model_1": "done"}
    world.until_searchable()
    assert world.plan().changes == ()


def test_a_model_that_one_of_two_nodes_lacks_is_deployed_there(pair: World) -> None:
    model_id = pair.models["model_1"]
    pair.cluster.opensearch.stop_node(2)
    pair.cluster.opensearch.start_node(2)
    pair.cluster.opensearch.wait_until_healthy()
    until = time.monotonic() + 60
    while pair.ml("GET", f"models/{model_id}")["model_state"] != "PARTIALLY_DEPLOYED":
        assert time.monotonic() < until
        time.sleep(0.2)
    mend(pair, "PARTIALLY_DEPLOYED")
    assert len(pair.ml("GET", f"profile/models/{model_id}")["nodes"]) == 2


def test_a_model_whose_deployment_failed_is_deployed(pair: World) -> None:
    model_id = pair.models["model_1"]
    used = pair.ml("GET", f"models/{model_id}")["connector_id"]
    pair.ml("POST", f"models/{model_id}/_undeploy")
    pair.ml("PUT", f"models/{model_id}", {"connector_id": "nowhere"})
    pair.ml("POST", f"models/{model_id}/_deploy")
    pair.cluster.writes()
    pair.ml("PUT", f"models/{model_id}", {"connector_id": used})
    mend(pair, "DEPLOY_FAILED")
