"""The JSON Schema of a blueprint's file, made of the model: what editors complete and mark.

It is looser than the checks where several fields together tell, and stricter only with a number or a boolean that is
written as a text ("30").
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from opensearch_ml.blueprint import fields
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks import aws, versions

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = r"\$\{variables\.[^}]+\}"
VALUE = {"$ref": "#/$defs/Variable"}
TEXT = {"$ref": "#/$defs/TextWithVariable"}
DEFINITIONS = {
    "Variable": {
        "title": "A variable",
        "description": "Takes the variable's own type: a number stays a number.",
        "type": "string",
        "pattern": f"^{VARIABLE}$",
        "examples": ["${variables.dimension}"],
    },
    "TextWithVariable": {
        "title": "A text with a variable",
        "type": "string",
        "pattern": VARIABLE,
        "examples": ["${variables.model}-v2"],
    },
}
ANNOTATIONS = ("title", "description", "default", "examples")
LIMITS = ("enum", "const", "pattern", "minLength", "maxLength")
SCALARS = ["string", "number", "boolean"]


def of_blueprints() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a blueprint's file."""
    root = Blueprint.model_json_schema(schema_generator=_Generator)
    definitions = root.pop("$defs")
    _add_what_the_checks_know(definitions)
    for part in (root, *definitions.values()):
        part["description"] = part["description"].partition("\n\n")[0]
        part["properties"] = {
            name: one if part is root and name == "variables" else _with_variables(one)  # values come from there
            for name, one in part["properties"].items()
            if part is not root or name != "name"  # which is the file's own
        }
    root["required"].remove("name")
    return {"$schema": DIALECT, **root, "$defs": dict(sorted({**definitions, **DEFINITIONS}.items()))}


class _Generator(GenerateJsonSchema):
    """Knows what the validators take that run before a field's own type is looked at."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        function = schema["function"]["function"]
        if function is fields.text_of_number:
            return {**inner, "type": SCALARS}
        if function in (fields.Lower.func, fields.Upper.func):
            words = inner.get("enum") or [inner["const"]]
            return {"anyOf": [inner, {"type": "string", "pattern": f"^({'|'.join(map(_any_case, words))})$"}]}
        return inner

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        told = super().default_schema(schema)
        return {name: value for name, value in told.items() if name != "default" or value is not None}


def _add_what_the_checks_know(definitions: dict[str, Any]) -> None:
    reference = {"$ref": "#/$defs/CredentialReference"}
    definitions["CredentialReference"]["oneOf"] = [
        {"required": [source]} for source in ("conn_id", "variable", "secret_id")
    ]
    credential = definitions["Connector"]["properties"]["credential"]
    credential["properties"] = {
        key: {"anyOf": [{"type": "string"}, reference], "description": aws.FORMS.get(key, "No secret")}
        for key in aws.LITERALS
    }
    credential["additionalProperties"] = reference
    action = definitions["Action"]["properties"]
    for field, functions in versions.FUNCTIONS.items():
        action[field]["examples"] = sorted(functions)


def _with_variables(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a variable stand wherever a value may."""
    annotations = {name: value for name, value in schema.items() if name in ANNOTATIONS}
    told = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
    options = [_inside(option) for option in told.get("anyOf") or told.get("oneOf") or [told]]
    if not any(map(_takes_any_text, options)):
        options.append(TEXT if any(map(_is_text, options)) else VALUE)
    return annotations | (options[0] if len(options) == 1 else {"anyOf": options})


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    inside = dict(schema)
    for name in ("items", "additionalProperties"):
        if isinstance(inside.get(name), dict):
            inside[name] = _with_variables(inside[name])
    if "properties" in inside:
        inside["properties"] = {name: _with_variables(one) for name, one in inside["properties"].items()}
    return inside


def _takes_any_text(schema: dict[str, Any]) -> bool:
    return not schema or (_is_text(schema) and not any(name in schema for name in LIMITS))


def _is_text(schema: dict[str, Any]) -> bool:
    return schema.get("type") in ("string", SCALARS)


def _any_case(word: str) -> str:
    return "".join(f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else letter for letter in word)
