"""The JSON Schema for editors: current, no stricter than the checks, and strict where a mistake is seen at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import json_schema
from tests.support import seeds
from tests.support.bad_blueprints import CASES, GOOD, changed
from tests.support.examples import CANARY, action, document
from tests.support.parsing import parse_blueprint
from tests.support.repository import REPOSITORY

FILE = REPOSITORY / "include" / "schema" / "blueprint.schema.json"
SCHEMA = json_schema.of_blueprints()
VALIDATOR = Draft202012Validator(SCHEMA)
BLUEPRINTS = sorted((REPOSITORY / "include" / "blueprints").glob("*.yaml"))
DOCUMENTED = {name: {"connector": body} for name, body in vars(seeds).items() if name.isupper() and "protocol" in body}
FOR_OTHER_VERSIONS = {name: changed(case) for name, case in CASES.items() if "version" in case}
VALID = {**GOOD, **DOCUMENTED, **FOR_OTHER_VERSIONS}
PROPERTIES = {
    f"{name}.{field}": told
    for name, part in {"Blueprint": SCHEMA, **SCHEMA["$defs"]}.items()
    for field, told in part.get("properties", {}).items()
}


def wrong(written: Any) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(written)]


def test_the_file_is_current() -> None:
    made = json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"
    assert FILE.read_text() == made, f"run: python -m opensearch_ml schema > {FILE.relative_to(REPOSITORY)}"


def test_the_schema_is_one_of_its_dialect() -> None:
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_of_the_catalog_agrees_with_the_schema_that_it_names(path: Path) -> None:
    text = path.read_text()
    assert wrong(yaml.safe_load(text)) == []
    first = text.splitlines()[0]
    assert (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve() == FILE


@pytest.mark.parametrize("name", VALID)
def test_a_valid_document_agrees_with_the_schema(name: str) -> None:
    assert wrong(VALID[name]) == []


@pytest.mark.parametrize("name", sorted(PROPERTIES.keys() - {"Blueprint.variables"}))
def test_a_variable_may_stand_for_every_field(name: str) -> None:
    field = Draft202012Validator({**PROPERTIES[name], "$defs": SCHEMA["$defs"]})
    assert field.is_valid("${variables.x}")


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_every_field_is_described(name: str) -> None:
    assert PROPERTIES[name].get("description")


@pytest.mark.parametrize(
    "connector",
    [
        {"version": 1.5},
        {"name": "A", "version": True},
        {"description": None, "client_config": None},
        {"access_mode": "PUBLIC"},
        {"client_config": {"retry_backoff_policy": "CONSTANT", "max_retry_times": -1}},
        {"client_config": "${variables.patience}"},
        {"client_config": {"read_timeout": "${variables.seconds}", "skip_ssl_verification": "${variables.no}"}},
        {"actions": [action(method="post", action_type="PREDICT", headers={"x-version": 2})]},
        {"actions": [action(method="${variables.method}", action_type="batch_${variables.kind}")]},
        {"actions": ["${variables.action}"], "protocol": "${variables.protocol}"},
        {"credential": {"key": {"variable": "openai"}, "region": "eu-central-1", "other": "${variables.reference}"}},
        {"parameters": {"a": 1, "b": [{"c": None}], "d": "${variables.d}"}},
    ],
)
def test_whatever_the_checks_take_the_schema_takes(connector: dict[str, Any]) -> None:
    assert wrong(document(connector)) == []


@pytest.mark.parametrize(
    "parts",
    [
        {"model": {"group": "shared"}},
        {"model": {"group": {"name": "shared"}, "model_config": {"model_type": "x", "all_config": "{}"}}},
        {"iam_role": None, "model": {"name": None}},
        {"smoke_test": {"parameters": {}, "expect": {"path": "a", "dimension": "${variables.dimension}"}}},
        {"smoke_test": {"parameters": {}, "expect": [{"path": "a"}, "${variables.expectation}"]}},
        {"trusted_endpoints": ["^https://${variables.host}/$"], "inline": "${variables.inline}"},
    ],
)
def test_whatever_the_checks_take_beside_the_connector_the_schema_takes(parts: dict[str, Any]) -> None:
    assert wrong(document(**parts)) == []


@pytest.mark.parametrize(
    ("connector", "path"),
    [
        ({"protocol": "https"}, "$.connector"),
        ({"protocl": "http"}, "$.connector"),
        ({"credential": {"key": "a literal"}}, "$.connector"),
        ({"credential": {"key": {"conn_id": "a", "variable": "b"}}}, "$.connector"),
        ({"credential": {"key": {CANARY: None}}}, "$.connector"),
        ({"client_config": {"read_timeout": 0}}, "$.connector"),
        ({"client_config": {"read_timeout": "soon"}}, "$.connector"),
        ({"client_config": {"retries": 1}}, "$.connector"),
        ({"actions": [action(method="PATCH")]}, "$.connector"),
        ({"actions": [{"action_type": "predict"}]}, "$.connector"),
        ({"actions": [action(name="two words")]}, "$.connector"),
    ],
)
def test_an_editor_marks_what_can_be_seen_at_once(connector: dict[str, Any], path: str) -> None:
    assert wrong(document(connector)) == [path]


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"connector": 3},
        {**document(), "name": "the file's"},
        {**document(), "models": {}},
        {**document(), "variables": []},
        {**document(), "trusted_endpoints": []},
    ],
)
def test_an_editor_marks_what_is_no_blueprint(written: dict[str, Any]) -> None:
    assert wrong(written)


def test_the_builtin_functions_are_offered() -> None:
    fields = SCHEMA["$defs"]["Action"]["properties"]
    assert "connector.pre_process.openai.embedding" in fields["pre_process_function"]["examples"]
    assert "connector.post_process.openai.embedding" in fields["post_process_function"]["examples"]


def test_the_examples_are_valid_for_their_fields() -> None:
    for name, told in PROPERTIES.items():
        field = Draft202012Validator({**told, "$defs": SCHEMA["$defs"]})
        for example in told.get("examples", ()):
            assert field.is_valid(example), name


def test_the_schema_is_of_the_model_that_is_parsed() -> None:
    written = copy.deepcopy(document())
    assert parse_blueprint("probe", written, source="probe")
    required = {field for field, told in Blueprint.model_fields.items() if told.is_required()} - {"name"}
    assert set(SCHEMA["required"]) == required
