"""What others made on a real cluster becomes files by which a plan adopts it without a difference, field by field."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from local.model_endpoints.process import ModelEndpoints
from opensearch_ml import cli
from opensearch_ml.blueprint.expectation import at, describe, problems
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.checks import versions
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.importing.from_cluster import look_at_others
from opensearch_ml.reconcile.results import Outcome
from tests.support.applies import apply_plan
from tests.support.catalog_blueprints import LASTING, own, with_keys
from tests.support.cluster import connections
from tests.support.fleet_world import World
from tests.support.hand_made import (
    KEY,
    MAKES_A_VECTOR,
    REGISTERED,
    bodies_at,
    differing,
    imported,
    make,
)
from tests.support.repository import BLUEPRINTS


def test_what_was_made_by_hand_is_written_and_planned_as_an_adoption_without_a_difference(
    empty_world: World, endpoints: ModelEndpoints, hook: OpenSearchMLHook, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = dict(REGISTERED["Chat of the support team"])
    if hook.version < (3, 0):
        del fields["is_enabled"]  # 2.19 does not tell what a model was registered with
    ids = {
        name: make(empty_world, name, connector, **(fields if name.startswith("Chat") else {}))
        for name, connector in bodies_at(endpoints.url).items()
    }
    if hook.version >= (3, 3):
        tools = {"name": "Tools", "version": 1, "protocol": "mcp_streamable_http", "url": f"{endpoints.url}/mcp"}
        tools |= {"credential": {"api_key": KEY}, "headers": {"Authorization": "Bearer ${credential.api_key}"}}
        ids["Tools"] = empty_world.ml("POST", "connectors/_create", tools)["connector_id"]
    before = empty_world.cluster.writes()
    told, notes = imported(empty_world, capsys)
    assert KEY not in notes
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (empty_world.folder / "blueprints").iterdir()}
    adopt = yaml.safe_load((empty_world.folder / "targets" / "t.yaml").read_text())["adopt"]
    assert sorted(adopt.values()) == sorted(ids.values())
    assert differing(empty_world, told) == {name: [] for name in files}
    assert told.keys() == {"host_127_0_0_1_default", "aws_default"}
    assert empty_world.cluster.writes() == before
    chat = files["chat_of_the_support_team"]
    assert chat["connector"]["parameters"]["seed"] == 7
    assert chat["connector"]["client_config"] == {"max_connection": 50, "connection_timeout": 5, "read_timeout": 20}
    assert {key: chat["model"].get(key) for key in fields} == fields
    assert files["scripted"]["connector"]["actions"][0]["post_process_function"] == MAKES_A_VECTOR
    assert files["inside"]["inline"] is True
    # Who made them has them still, and what is imported once is not written again.
    assert cli.main(["import", "--from-cluster", "--to", str(empty_world.folder / "blueprints")]) == 2


def test_a_secret_in_a_header_is_the_one_difference_and_is_shown_nowhere(
    empty_world: World, endpoints: ModelEndpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    body = bodies_at(endpoints.url)["inside"]
    body["actions"][0]["headers"] = {"Authorization": f"Bearer {KEY}"}
    make(empty_world, "outside", body)
    told, notes = imported(empty_world, capsys)
    assert "connector.actions.0.headers.Authorization held the secret itself" in notes
    assert differing(empty_world, told) == {"outside": ["actions.0.headers.Authorization"]}
    assert KEY not in notes + (empty_world.folder / "blueprints" / "outside.yaml").read_text()


def test_who_may_use_them_is_written_where_the_cluster_knows_owners(
    empty_world: World, endpoints: ModelEndpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    on = {f"plugins.ml_commons.{what}_access_control_enabled": True for what in ("connector", "model")}
    empty_world.cluster.request("PUT", "/_cluster/settings", json={"persistent": on}).raise_for_status()
    group = {"name": "Shared", "description": "For all", "access_mode": "public"}
    group_id = empty_world.ml("POST", "model_groups/_register", group)["model_group_id"]
    body = {**bodies_at(endpoints.url)["cohere"], "access_mode": "public"}
    make(empty_world, "for_all", body, model_group_id=group_id)
    make(empty_world, "for_one", bodies_at(endpoints.url)["scripted"])
    told, _ = imported(empty_world, capsys)
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (empty_world.folder / "blueprints").iterdir()}
    assert files["for_all"]["connector"]["access_mode"] == "public"
    assert files["for_all"]["model"]["group"] == group
    assert "access_mode" not in files["for_one"]["connector"]
    assert differing(empty_world, told) == {"for_all": [], "for_one": []}


@pytest.mark.slow
def test_all_that_was_made_by_hand_answers_after_its_adoption_as_before_and_after_a_change_too(
    empty_world: World, endpoints: ModelEndpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    world = empty_world
    endpoints.replace_keys({"openai": [KEY], "cohere": [KEY], "aws": [vars(LASTING)]})
    ids = {name: make(world, name, connector) for name, connector in bodies_at(endpoints.url).items()}
    for model_id in ids.values():
        world.ml("POST", f"models/{model_id}/_deploy")
    world.cluster.writes()  # waits until all are deployed
    told, _ = imported(world, capsys)
    adopt = yaml.safe_load((world.folder / "targets" / "t.yaml").read_text())["adopt"]
    before = {name: (answered(world, name, model_id), predictors(world, model_id)) for name, model_id in adopt.items()}
    with connections(**told):
        done = apply_plan(world, world.plan())
        assert [(one.kinds, one.outcome) for one in done] == [(("adopt",), Outcome.DONE)] * len(adopt)
        world.until_searchable()
        assert world.plan().changes == ()
        after = {
            name: (answered(world, name, model_id), predictors(world, model_id)) for name, model_id in adopt.items()
        }
        assert after == before
        for name in ("inside", "scripted", "sagemaker"):
            world.edit(name, another_time_out)
        done = apply_plan(world, world.plan())
        assert [(one.what, one.kinds, one.outcome) for one in done] == [
            (name, ("swap",), Outcome.DONE) for name in ("inside", "sagemaker", "scripted")
        ], done
        world.until_searchable()
        assert world.plan().changes == ()
    assert {name: answered(world, name, model_id) for name, model_id in adopt.items()} == {
        name: told for name, (told, _) in before.items()
    }


def another_time_out(document: dict[str, Any]) -> dict[str, Any]:
    document["connector"]["client_config"] = {"connection_timeout": 2, "read_timeout": 2}
    return document


def answered(world: World, name: str, model_id: str) -> Any:
    """What a model answers to the smoke test that was guessed for it; it must be what that expects."""
    test = world.catalog.blueprint(name).smoke_test
    assert test is not None
    answer = world.ml("POST", f"models/{model_id}/_predict", {"parameters": test.parameters})
    assert problems(answer, test.expect) == []
    [expected] = test.expect
    return answer["inference_results"][0]["output"][0].get("data") or describe(at(answer, expected.path))


def predictors(world: World, model_id: str) -> dict[str, str]:
    return OpenSearchMLHook().predictors(model_id)


@pytest.mark.slow
def test_every_blueprint_of_the_catalog_that_others_made_is_adopted_without_a_difference(
    empty_world: World, hook: OpenSearchMLHook, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [name for name in Catalog(BLUEPRINTS, empty_world.folder).blueprint_names() if known(name, hook.version)]
    for name in names:
        of = with_keys(own(name), LASTING)
        body = of.connector.model_dump(exclude_none=True, exclude={"credential"})
        body["credential"] = dict.fromkeys(of.connector.credential, KEY) or {"api_key": KEY}
        if of.connector.is_mcp:
            del body["actions"]
            empty_world.ml("POST", "connectors/_create", body)
        else:
            fields = of.model.model_dump(exclude_none=True, by_alias=True, exclude={"group", "name", "function_name"})
            make(empty_world, name, body, **fields)
    told, _ = imported(empty_world, capsys)
    found = differing(empty_world, told)
    assert len(found) == len(names)
    assert {name: paths for name, paths in found.items() if paths} == {}


def known(name: str, version: tuple[int, ...]) -> bool:
    return not versions.findings(own(name), version)


def test_looking_takes_five_requests(empty_world: World, endpoints: ModelEndpoints, hook: OpenSearchMLHook) -> None:
    make(empty_world, "one", bodies_at(endpoints.url)["cohere"])
    empty_world.sent.clear()
    assert [one.name for one in look_at_others(OpenSearchMLHook()).blueprints] == ["one"]
    assert sorted(empty_world.sent) == [
        "get_settings",
        "plugins",
        "search_connectors",
        "search_model_group",
        "search_models",
    ]
