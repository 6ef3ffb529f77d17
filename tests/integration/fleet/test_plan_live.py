"""A plan for a real cluster: nothing where all is right, each drift named, in a handful of requests and no write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseHook

from opensearch_ml import cli
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials import fingerprint
from opensearch_ml.reconcile.diff_blueprint import STUCK_S
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Kind
from tests.integration.conftest import CREDENTIAL
from tests.integration.fleet.conftest import World
from tests.support.cluster import OPENAI_KEY, Cluster, connections

pytestmark = pytest.mark.slow

SETTLED = ["get_role_mappings", "get_settings", "plugins", "search_connectors", "search_models"]


def test_a_converged_fleet_needs_nothing_in_five_requests_and_no_write(world: World, cluster: Cluster) -> None:
    before = cluster.writes()
    plan = world.plan()
    assert plan.changes == ()
    assert plan.unchanged == ("inside", "model_1", "model_2")
    assert sorted(world.sent) == SETTLED
    assert cluster.writes() == before


def put_model(world: World, name: str, body: dict[str, Any]) -> None:
    world.ml("PUT", f"models/{world.models[name]}", body)


def undeploy(world: World) -> None:
    world.ml("POST", f"models/{world.models['model_1']}/_undeploy")


def leave_deploying(world: World) -> None:
    """A deployment that nobody works on any more, in the server's own record, and for longer than one may take."""
    set_on_cluster(world, sync_up_job_interval_in_seconds=0)  # the server would correct its record by itself
    since_ms = int((time.time() - STUCK_S - 60) * 1000)
    record = f"/.plugins-ml-model/_update/{world.models['model_1']}?refresh=true"
    told = {"doc": {"model_state": "DEPLOYING", "last_updated_time": since_ms}}
    world.cluster.request("POST", record, json=told).raise_for_status()


def delete_model(world: World) -> None:
    undeploy(world)
    world.ml("DELETE", f"models/{world.models['model_1']}")


def lose_connector(world: World) -> None:
    put_model(world, "model_1", {"connector_id": "nowhere"})  # the server takes any id


def lose_both(world: World) -> None:
    [used] = [one["connector_id"] for one in world.cluster.search("models") if one["id"] == world.models["model_1"]]
    lose_connector(world)
    world.until_searchable()  # or it counts as used
    world.ml("DELETE", f"connectors/{used}")


def put_on_a_foreign_connector(world: World) -> None:
    body = {**foreign_body(world, "model_1"), "name": "theirs"}
    put_model(world, "model_1", {"connector_id": world.ml("POST", "connectors/_create", body)["connector_id"]})


def foreign_body(world: World, name: str) -> dict[str, Any]:
    """The body of a blueprint's connector, as somebody writes it by hand."""
    connector = world.catalog.blueprint(name).connector
    return {**connector.model_dump(exclude_none=True, by_alias=True), "credential": CREDENTIAL}


def set_on_cluster(world: World, **settings: Any) -> None:
    body = {"persistent": {f"plugins.ml_commons.{name}": value for name, value in settings.items()}}
    world.cluster.request("PUT", "/_cluster/settings", json=body).raise_for_status()


def unmap(world: World) -> None:
    url = "/_plugins/_security/api/rolesmapping/ml_full_access"
    world.cluster.request("PUT", url, json={"backend_roles": ["others"]}).raise_for_status()


def another_model(document: dict[str, Any]) -> dict[str, Any]:
    document["connector"]["parameters"]["model"] = "text-embedding-3-large"
    return document


DRIFTS: dict[str, tuple[Callable[[World], Any], list[tuple[Kind, str]]]] = {
    "definition": (lambda world: world.edit("model_1", another_model), [(Kind.SWAP, "model_1")]),
    "definition inside": (lambda world: world.edit("inside", another_model), [(Kind.SWAP, "inside")]),
    "description": (
        lambda world: put_model(world, "model_2", {"description": "by somebody"}),
        [(Kind.UPDATE, "model_2")],
    ),
    "disabled": (lambda world: put_model(world, "inside", {"is_enabled": False}), [(Kind.UPDATE, "inside")]),
    "undeployed": (undeploy, [(Kind.REDEPLOY, "model_1")]),
    "stuck in DEPLOYING": (leave_deploying, [(Kind.REDEPLOY, "model_1")]),
    "model deleted": (delete_model, [(Kind.CREATE, "model_1")]),
    "connector lost": (lose_connector, [(Kind.UPDATE, "model_1")]),
    "connector deleted": (lose_both, [(Kind.CREATE, "model_1")]),
    "foreign connector": (put_on_a_foreign_connector, [(Kind.UPDATE, "model_1")]),
    "untrusted": (
        lambda world: set_on_cluster(world, trusted_connector_endpoints_regex=[]),
        [(Kind.SETTINGS, "trusted endpoints")],
    ),
    "setting": (
        lambda world: set_on_cluster(world, **{"connector.private_ip_enabled": False}),
        [(Kind.SETTINGS, "cluster settings")],
    ),
    "mapping": (unmap, [(Kind.SETTINGS, "mapping of role ml_full_access")]),
    "orphan": (lambda world: (world.folder / "blueprints/model_1.yaml").unlink(), [(Kind.ORPHAN, "model_1")]),
    "broken file": (
        lambda world: (world.folder / "blueprints/model_1.yaml").write_text("connector: {"),
        [(Kind.BROKEN, "model_1")],
    ),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_named_and_nothing_else(world: World, cluster: Cluster, drift: str) -> None:
    inject, expected = DRIFTS[drift]
    inject(world)
    world.until_searchable()
    before = cluster.writes()
    assert world.found() == expected
    assert len(world.sent) <= len(SETTLED) + 1
    assert cluster.writes() == before


def test_a_changed_credential_is_a_swap_of_all_that_use_it(world: World) -> None:
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": "another"})):
        plan = world.plan()
    assert [change.kind for change in plan.changes] == [Kind.SWAP] * 3
    assert {one.path for change in plan.changes for one in change.differences} == {"credential"}
    assert "another" not in repr(plan)
    assert OPENAI_KEY not in repr(plan)


def test_a_connection_that_is_not_there_is_told_of_all_that_need_it_by_one_look(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model_3", "model_4", "model_5"):
        world.write(make_blueprint(name))
    for name in ("model_4", "model_5"):
        nobody = {"openAI_key": {"conn_id": "nobody", "field": "password"}}
        world.edit(name, lambda told, nobody=nobody: {**told, "connector": {**told["connector"], "credential": nobody}})
    world.ml("POST", "models/_register", {**model_body(world, "model_5"), "description": "By hand"})
    asked: list[str] = []

    def counted(conn_id: str) -> Any:
        asked.append(conn_id)
        return BaseHook.get_connection(conn_id)

    monkeypatch.setattr("opensearch_ml.credentials.resolver.BaseHook", SimpleNamespace(get_connection=counted))
    before = cluster.writes()
    plan = world.plan()
    assert [(one.kind, one.what) for one in plan.changes] == [
        (Kind.CREATE, "model_3"),
        (Kind.BROKEN, "model_4"),
        (Kind.BROKEN, "model_5"),
    ]
    words = "it refers to secrets that are not there: openAI_key is password of connection nobody, which is not there"
    assert [one.why for one in plan.changes[1:]] == [f"cannot be created: {words}", f"cannot be adopted: {words}"]
    assert sorted(asked) == ["nobody", "openai_default"]
    assert sorted(world.sent) == sorted([*SETTLED, "search_model_group"])  # whose the one made by hand is
    assert cluster.writes() == before
    assert OPENAI_KEY not in repr(plan)


def model_body(world: World, name: str) -> dict[str, Any]:
    """What somebody else registers: a model on a connector of his own."""
    connector_id = world.ml("POST", "connectors/_create", foreign_body(world, name))["connector_id"]
    return {"name": name, "function_name": "remote", "connector_id": connector_id}


def test_a_model_made_by_hand_is_adopted_by_its_description_alone(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster
) -> None:
    world.write(make_blueprint("model_3"))
    connector_id = world.ml("POST", "connectors/_create", foreign_body(world, "model_3"))["connector_id"]
    body = {"name": "model_3", "function_name": "remote", "connector_id": connector_id, "description": "By hand"}
    model_id = world.ml("POST", "models/_register?deploy=true", body)["model_id"]
    world.models["model_3"] = model_id
    cluster.writes()  # waits until it is deployed

    [change] = world.plan().changes
    assert (change.kind, change.models, change.connectors) == (Kind.ADOPT, (model_id,), (connector_id,))

    predictors = world.ml("GET", f"profile/models/{model_id}")
    mark = fingerprint.fingerprint(CREDENTIAL)
    put_model(world, "model_3", {"description": adoption.described("By hand", "model_3", mark)})
    assert world.ml("GET", f"profile/models/{model_id}")["nodes"].keys() == predictors["nodes"].keys()
    assert _predictors(world, model_id) == _predictors_of(predictors, model_id)

    world.until_searchable()
    seen = world.plan()
    assert {one.kind for one in seen.changes} <= {Kind.UPDATE}  # of the fields that only the blueprint has
    assert all(one.path.startswith("model.") for change in seen.changes for one in change.differences)
    world.edit("model_3", lambda document: {**document, "model": {"description": "By hand"}})
    assert world.found() == []
    assert sorted(world.sent) == SETTLED
    world.edit("model_3", another_model)
    assert world.found() == [(Kind.SWAP, "model_3")]


def _predictors(world: World, model_id: str) -> dict[str, str]:
    return _predictors_of(world.ml("GET", f"profile/models/{model_id}"), model_id)


def _predictors_of(profile: dict[str, Any], model_id: str) -> dict[str, str]:
    return {node: told["models"][model_id]["predictor"] for node, told in profile["nodes"].items()}


def test_the_command_tells_nothing_changes_and_errors_apart(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["plan", "--target", "t", "--targets", str(world.folder / "targets")]
    assert cli.main(command) == 0
    assert capsys.readouterr().out.endswith("No changes: 3 blueprints, all as they should be\n")
    undeploy(world)
    world.until_searchable()
    assert cli.main(command) == 2
    assert "  ~ redeploy  model_1: UNDEPLOYED; model" in capsys.readouterr().out
    monkeypatch.delenv("AIRFLOW_CONN_OPENSEARCH_DEFAULT")
    assert cli.main(command) == 1
    assert "there is no connection opensearch_default" in capsys.readouterr().err
