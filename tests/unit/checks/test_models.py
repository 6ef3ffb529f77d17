from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator, SchemaError

from opensearch_ml.checks.models import _is_schema
from tests.support.examples import parsed

SCHEMAS = [
    {},
    {"type": "object", "properties": {"parameters": {"type": "object", "required": ["input"]}}},
    {"type": ["string", "null"], "minLength": 1, "pattern": "a"},
    {"anyOf": [{"type": "integer", "minimum": 1.5}, True], "$defs": {"a": {}}, "title": "t"},
    {"items": {"enum": [1, "a", None]}, "minItems": 0, "additionalProperties": False},
    {"type": "dict"},
    {"type": ["string", "text"]},
    {"required": "a"},
    {"required": [1]},
    {"properties": []},
    {"properties": {"a": 1}},
    {"anyOf": {}},
    {"allOf": [{"not": {"type": 3}}]},
    {"minimum": "1"},
    {"maxLength": True},
    {"description": 1},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_is_judged_as_the_meta_schema_judges_it(schema: dict[str, Any]) -> None:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        assert not _is_schema(schema)
    else:
        assert _is_schema(schema)


@pytest.mark.parametrize(
    "model",
    [
        {"interface": {"input": {"type": "object"}, "output": '{"type": "object"}'}},
        {"guardrails": {"input_guardrail": {"regex": [".*abort.*", "(?s).*kill.*", r".*\\p{L}+x", "^$"]}}},
        {"guardrails": {"input_guardrail": {"stop_words": [{"index_name": "words", "source_fields": ["title"]}]}}},
        {"guardrails": {"type": "model", "input_guardrail": {"model_id": "a", "response_validation_regex": "^ok$"}}},
        {"model_config": {"model_type": "bert", "all_config": '{"a": 1}', "additional_config": {"b": 1}}},
        {
            "model_config": {
                "model_type": "TEXT_EMBEDDING",
                "embedding_dimension": 3,
                "framework_type": "sentence_transformers",
                "additional_config": {"space_type": "l2"},
            }
        },
        {"deploy_setting": {"is_auto_deploy_enabled": False, "model_ttl_minutes": 5}, "provisioned_by": "me"},
        {"rate_limiter": {"limit": "4", "unit": "minutes"}},
    ],
)
def test_a_documented_model_is_fine(model: dict[str, Any]) -> None:
    assert parsed(model=model)
