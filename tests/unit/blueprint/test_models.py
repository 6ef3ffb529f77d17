from __future__ import annotations

from typing import Any

import pytest

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.errors import InvalidBlueprint
from tests.support.examples import URL, action, document, parsed, paths, refused
from tests.support.parsing import parse_blueprint

MCP = {"protocol": "mcp_streamable_http", "url": "https://tools.example.com/mcp", "actions": [], "credential": {}}


def test_what_is_not_written_has_its_default() -> None:
    blueprint = parsed()
    assert blueprint.connector.version == "1"
    assert blueprint.connector.parameters == {}
    assert blueprint.model_name == "probe"
    assert blueprint.group_name == "probe"
    assert blueprint.inline is False
    assert blueprint.smoke_test is None


@pytest.mark.parametrize(
    ("model", "name", "group"),
    [
        ({"name": "My model"}, "My model", "My model"),
        ({"group": "Search"}, "probe", "Search"),
        ({"name": "My model", "group": {"name": "Search", "access_mode": "private"}}, "My model", "Search"),
    ],
)
def test_a_group_is_named_after_the_model_or_by_its_name_alone(model: dict[str, Any], name: str, group: str) -> None:
    blueprint = parsed(model=model)
    assert (blueprint.model_name, blueprint.group_name) == (name, group)


@pytest.mark.parametrize("written", ["predict", "PREDICT", "Predict"])
@pytest.mark.parametrize("method", ["post", "POST", "Post"])
def test_action_types_and_methods_may_be_in_any_case(written: str, method: str) -> None:
    only_action = parsed({"actions": [action(action_type=written, method=method)]}).connector.actions[0]
    assert (only_action.action_type, only_action.method) == ("predict", "POST")


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "", "P OST"])
def test_a_method_that_fails_at_predict_is_refused(method: str) -> None:
    assert paths(refused({"actions": [action(method=method)]})) == ["connector.actions.0.method"]


@pytest.mark.parametrize(
    ("version", "text"), [(1, "1"), (1.5, "1.5"), ("2", "2"), ("2.0-beta", "2.0-beta"), (True, "true")]
)
def test_a_version_is_a_text_as_the_server_stores_it(version: bool | float | int | str, text: str) -> None:
    assert parsed({"version": version}).connector.version == text


def test_headers_are_texts_as_the_server_reads_them() -> None:
    headers = {"A": 1, "B": True, "C": 1.5, "D": "${credential.key}"}
    expected = {"A": "1", "B": "true", "C": "1.5", "D": "${credential.key}"}
    assert parsed({"actions": [action(headers=headers)]}).connector.actions[0].headers == expected
    assert parsed({**MCP, "credential": {"key": {"conn_id": "a"}}, "headers": headers}).connector.headers == expected


@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_a_header_that_is_no_text_is_refused(value: object) -> None:
    assert paths(refused({"actions": [action(headers={"A": value})]})) == ["connector.actions.0.headers.A"]


def test_one_expectation_needs_no_list() -> None:
    one = {"path": "a", "type": "string"}
    alone = parsed(smoke_test={"parameters": {}, "expect": one})
    assert alone.smoke_test == parsed(smoke_test={"parameters": {}, "expect": [one]}).smoke_test
    assert paths(refused(smoke_test={"parameters": {}, "expect": []})) == ["smoke_test.expect"]


def test_model_config_keeps_its_documented_name() -> None:
    config = {"model_type": "bert", "additional_config": {"space_type": "l2"}}
    blueprint = parsed(model={"model_config": config})
    assert blueprint.model.model_dump(by_alias=True, exclude_none=True)["model_config"] == config


@pytest.mark.parametrize("function_name", ["remote", "REMOTE"])
def test_the_function_is_remote_in_any_case_and_no_other(function_name: str) -> None:
    assert parsed(model={"function_name": function_name}).model.function_name == "remote"
    assert paths(refused(model={"function_name": "text_embedding"})) == ["model.function_name"]


@pytest.mark.parametrize(
    "reference",
    [
        {"conn_id": "a"},
        {"conn_id": "a", "field": "password"},
        {"conn_id": "a", "field": "login"},
        {"conn_id": "a", "field": "extra.api.key"},
        {"variable": "a"},
    ],
)
def test_a_reference_names_one_place(reference: dict[str, str]) -> None:
    assert parsed({"credential": {"key": reference}}).connector.references.keys() == {"key"}


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"field": "password"},
        {"conn_id": "a", "variable": "b"},
        {"conn_id": ""},
        {"variable": ""},
        {"variable": "a", "field": "login"},
        {"conn_id": "a", "field": "extra."},
        {"conn_id": "a", "field": "extra"},
        {"conn_id": "a", "field": "xextra.y"},
        {"conn_id": "a", "field": "port"},
        None,
        [],
    ],
)
def test_a_reference_that_names_no_place_is_refused(reference: object) -> None:
    error = refused({"credential": {"key": reference}})
    assert all(path.startswith("connector.credential.key") for path in paths(error))


def test_a_reference_says_in_words_where_the_secret_is() -> None:
    headers = {"A": "${credential.key}", "B": "${credential.b}"}
    references = parsed(
        {
            "credential": {"key": {"conn_id": "a", "field": "extra.k"}, "b": {"variable": "v"}},
            "actions": [action(headers=headers)],
        }
    ).connector.references
    assert [str(reference) for reference in references.values()] == ["extra.k of connection a", "variable v"]


@pytest.mark.parametrize("name", ["openai_chat", "a", "A.b-c_1", "1", "x" * 128])
def test_a_stem_of_plain_characters_is_a_name(name: str) -> None:
    assert parse_blueprint(name, document(), source="x").name == name


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a/b", "a\n", "${x}", "x" * 129])
def test_any_other_stem_is_a_finding(name: str) -> None:
    with pytest.raises(InvalidBlueprint, match="name: is the file's name without its ending"):
        parse_blueprint(name, document(), source="x")


@pytest.mark.parametrize("name", ["predict", "EXECUTE", "a b", "x" * 65, ""])
def test_an_action_has_a_name_that_the_server_takes(name: str) -> None:
    assert paths(refused({"actions": [action(name=name)]})) == ["connector.actions.0.name"]


def test_an_internal_connector_is_a_switch() -> None:
    assert parsed(inline=True).inline is True


def test_an_mcp_connector_has_a_url_and_no_actions() -> None:
    blueprint = parsed(MCP)
    assert blueprint.connector.is_mcp
    assert blueprint.trusted == [(r"^https://tools\.example\.com/mcp$", MCP["url"])]


# ---- trusted endpoints


def test_the_pattern_is_derived_from_each_url() -> None:
    urls = ["https://a.com/${parameters.model}/x", "https://a.com/${parameters.late}"]
    blueprint = parsed(
        {
            "parameters": {"model": "m.1"},
            "actions": [action(url=urls[0]), action(url=urls[1], action_type="batch_predict")],
        }
    )
    assert blueprint.trusted == [
        (r"^https://a\.com/m\.1/x$", "https://a.com/m.1/x"),
        (r"^https://a\.com/[^/?#]+$", "https://a.com/x"),
    ]


def test_a_given_pattern_is_used_for_the_urls_that_it_covers() -> None:
    given = r"^https://api\.openai\.com/v1/.*$"
    assert parsed(trusted_endpoints=[given]).trusted == [(given, URL)]


def test_every_trusted_pair_fits_itself() -> None:
    for pattern, url in parsed({"actions": [action(url="https://a.com/${parameters.x}?v=1")]}).trusted:
        assert trusted_endpoints.covers(pattern, url)
        assert trusted_endpoints.problem(pattern) is None


def test_an_empty_list_of_patterns_is_a_question_and_no_answer() -> None:
    assert paths(refused(trusted_endpoints=[])) == ["trusted_endpoints"]
