"""A fleet is looked at in as many requests as one model; what needs a rotation is found, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import canonical
from opensearch_ml.resources.read import read_fleet
from opensearch_ml.rotation.read_state import read_rotation_state as exactly
from opensearch_ml.rotation.selection import Standing, standings
from opensearch_ml.rotation.sources import source_for
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.provisioning import CREDENTIAL, prepare, provision

pytestmark = pytest.mark.slow  # make test-rotation

MODELS = 6
Make = Callable[..., Blueprint]


@pytest.fixture
def fleet(make_blueprint: Make, hook: OpenSearchMLHook) -> Iterator[dict[str, Blueprint]]:
    """Some models, one of them with an internal connector."""
    blueprints = {f"model_{number}": make_blueprint(f"model_{number}") for number in range(MODELS - 1)}
    blueprints["inside"] = make_blueprint("inside", inline=True)
    for blueprint in blueprints.values():
        provision(hook, blueprint)
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": OPENAI_KEY})):
        yield blueprints


@pytest.fixture
def hundred(make_blueprint: Make, hook36: OpenSearchMLHook) -> Iterator[dict[str, Blueprint]]:
    """A hundred models, each with a connector of its own; registered is enough to be looked at."""
    blueprints = {f"model_{number:02}": make_blueprint(f"model_{number:02}") for number in range(100)}
    prepare(hook36, blueprints["model_00"])
    group_id = hook36.create_model_group({"name": "hundred"})
    for name, blueprint in blueprints.items():
        connector_id = hook36.create_connector(canonical.connector_body(blueprint, CREDENTIAL))
        body = {"name": name, "function_name": "remote", "model_group_id": group_id, "connector_id": connector_id}
        hook36.register_model(body)
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": OPENAI_KEY})):
        yield blueprints


def read_rotation_state(blueprints: dict[str, Blueprint], *names: str, force: bool = False) -> list[Standing]:
    hook = OpenSearchMLHook()
    found = read_fleet(hook)
    assert found.blueprints == set(blueprints)
    return standings(
        found,
        names or sorted(found.blueprints),
        load=lambda name: blueprints[name],
        source_for=lambda blueprint: source_for(blueprint, hook),
        force=force,
    )


def test_a_fleet_costs_two_searches_and_no_write(
    fleet: dict[str, Blueprint], sent: list[str], cluster: Cluster
) -> None:
    before = cluster.writes()
    found = read_rotation_state(fleet)
    assert [(standing.blueprint, standing.why) for standing in found] == [(name, ()) for name in sorted(fleet)]
    assert all(standing.model_id for standing in found)
    assert sorted(sent) == ["plugins", "search_connectors", "search_models"]
    assert cluster.writes() == before


def test_a_hundred_models_cost_two_searches_and_no_write(
    hundred: dict[str, Blueprint], sent: list[str], cluster36: Cluster
) -> None:
    before = cluster36.writes()
    assert {standing.why for standing in read_rotation_state(hundred)} == {()}
    assert sorted(sent) == ["plugins", "search_connectors", "search_models"]
    assert cluster36.writes() == before


def test_what_two_searches_tell_is_what_an_exact_look_tells(
    fleet: dict[str, Blueprint], hook: OpenSearchMLHook
) -> None:
    found = read_fleet(hook)
    for name in ("model_0", "inside"):
        seen, exact = found.rotation_state(fleet[name]), exactly(hook, fleet[name])
        assert (seen.live, seen.candidates, seen.retired) == (exact.live, exact.candidates, exact.retired)
    assert found.rotation_state(fleet["inside"].model_copy(update={"name": "other"})).model is None


def test_only_who_differs_is_named_with_what_differs(
    fleet: dict[str, Blueprint], make_blueprint: Make, sent: list[str]
) -> None:
    changed = make_blueprint("model_1", connector__parameters__model="text-embedding-3-large")
    found = read_rotation_state({**fleet, "model_1": changed})
    assert {standing.blueprint: standing.why for standing in found if standing.why} == {
        "model_1": ("parameters.model",)
    }
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": "another"})):
        assert {standing.why for standing in read_rotation_state(fleet)} == {("credential",)}
    assert {standing.why for standing in read_rotation_state(fleet, "model_2", "inside", force=True)} == {("forced",)}
    assert set(sent) == {"plugins", "search_connectors", "search_models"}


def test_what_cannot_be_told_is_a_reason_of_that_model_alone(fleet: dict[str, Blueprint], make_blueprint: Make) -> None:
    lost = make_blueprint("model_0", connector__credential__openAI_key={"conn_id": "nowhere", "field": "password"})
    found = {standing.blueprint: standing.why for standing in read_rotation_state({**fleet, "model_0": lost})}
    assert found.pop("model_0") == ("blueprint model_0 refers to secrets that are not there",)
    assert set(found.values()) == {()}


def test_what_a_killed_run_left_is_a_reason(fleet: dict[str, Blueprint], hook: OpenSearchMLHook) -> None:
    body = canonical.connector_body(fleet["model_3"], CREDENTIAL)
    body["parameters"][canonical.LABEL_RUN] = "killed"
    hook.create_connector(body)
    found = {standing.blueprint: standing.why for standing in read_rotation_state(fleet)}
    assert found.pop("model_3") == ("what an earlier run left",)
    assert set(found.values()) == {()}
