"""What others made on a real cluster becomes files by which a plan adopts it without a difference, field by field."""

from __future__ import annotations

import pytest
import yaml

from local.model_endpoints.process import ModelEndpoints
from opensearch_ml import cli, versions
from opensearch_ml.catalog import Catalog
from opensearch_ml.fleet.others import look_at_others
from opensearch_ml.hook import OpenSearchMLHook
from tests.integration.fleet.conftest import World
from tests.integration.fleet.hand_made import (
    KEY,
    MAKES_A_VECTOR,
    REGISTERED,
    bodies_at,
    differing,
    imported,
    make,
)
from tests.integration.test_catalog_live import BLUEPRINTS, LASTING, own, with_keys


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
