"""A plan for a real cluster: nothing where all is right, each drift named, in a handful of requests and no write."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseHook

from opensearch_ml import cli
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials import fingerprint
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Kind
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.fleet_drifts import DRIFTS, another_model, foreign_body, put_model, undeploy
from tests.support.fleet_world import SETTLED, World, predictors_of
from tests.support.provisioning import CREDENTIAL

pytestmark = pytest.mark.slow


def test_a_converged_fleet_needs_nothing_in_five_requests_and_no_write(world: World, cluster: Cluster) -> None:
    before = cluster.writes()
    plan = world.plan()
    assert plan.changes == ()
    assert plan.unchanged == ("inside", "model_1", "model_2")
    assert sorted(world.sent) == SETTLED
    assert cluster.writes() == before


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


def with_credential(credential: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: {**document, "connector": {**document["connector"], "credential": credential}}


def test_a_connection_that_is_not_there_is_told_of_all_that_need_it_by_one_look(
    world: World, make_blueprint: Callable[..., Blueprint], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model_3", "model_4", "model_5"):
        world.write(make_blueprint(name))
    for name in ("model_4", "model_5"):
        nobody = {"openAI_key": {"conn_id": "nobody", "field": "password"}}
        world.edit(name, with_credential(nobody))
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
    assert world.predictors(model_id) == predictors_of(predictors, model_id)

    world.until_searchable()
    seen = world.plan()
    assert {one.kind for one in seen.changes} <= {Kind.UPDATE}  # of the fields that only the blueprint has
    assert all(one.path.startswith("model.") for change in seen.changes for one in change.differences)
    world.edit("model_3", lambda document: {**document, "model": {"description": "By hand"}})
    assert world.found() == []
    assert sorted(world.sent) == SETTLED
    world.edit("model_3", another_model)
    assert world.found() == [(Kind.SWAP, "model_3")]


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
