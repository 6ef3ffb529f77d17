"""Fields of the model that the server takes as they are, and stumbles over when the model is deployed or asked.

Source: ml-commons main LocalRegexGuardrail, ModelGuardrail, RemoteModelConfig; 3.6 MLModel's interface.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.registration import Guardrail, Guardrails, Interface, ModelConfig
from opensearch_ml.errors import Finding

FIELDS = {"local_regex": ("stop_words", "regex"), "model": ("model_id", "response_filter", "response_validation_regex")}
JAVA_ONLY = re.compile(r"\\[pPQEhHRXGzA]|&&|[*+?}]\+|\(\?>")  # not judged: Python reads these otherwise, or not at all
RUNS_AWAY = re.compile(r"\([^()*+}]*[*+}][^()]*\)[*+{]")
# The vocabulary of JSON Schema that interfaces use; no library for it is needed on an author's machine.
TYPES = ("null", "boolean", "object", "array", "number", "string", "integer")
HOLDS_SCHEMA = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
HOLDS_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMES_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys((*HOLDS_SCHEMAS, "required", "enum"), list),
    **dict.fromkeys(NAMES_SCHEMAS, dict),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), int),
    **dict.fromkeys(("pattern", "$ref", "$id", "$schema", "title", "description", "format"), str),
}
BEGINS_PLAINLY = re.compile(r"\^?[A-Za-z0-9 ]")


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield guardrails that guard nothing or break, interfaces that are no schemas, and incomplete configurations."""
    model = blueprint.model
    if model.guardrails:
        yield from _guardrails(model.guardrails)
    if model.interface:
        yield from _interface(model.interface)
    if model.config:
        yield from _config(model.config)


def _guardrails(guardrails: Guardrails) -> Iterator[Finding]:
    for side in ("input_guardrail", "output_guardrail"):
        guardrail: Guardrail | None = getattr(guardrails, side)
        path = f"model.guardrails.{side}"
        if guardrail is None:
            continue
        own = FIELDS[guardrails.type]
        for field in sorted(guardrail.model_fields_set - set(own)):
            yield Finding(
                f"{path}.{field}",
                f"is not read with type {guardrails.type}, which reads {', '.join(own)}",
                "Remove it.",
            )
        if not guardrail.model_fields_set & set(own):
            yield Finding(path, "guards nothing", f"Add {' or '.join(own)}.")
        elif guardrails.type == "model":
            for field in ("model_id", "response_validation_regex"):
                if getattr(guardrail, field) is None:
                    yield Finding(
                        f"{path}.{field}", "is missing, and the model cannot be deployed without it", "Add it."
                    )
        patterns = [(f"{path}.regex.{index}", pattern) for index, pattern in enumerate(guardrail.regex or ())]
        for where, pattern in patterns:
            if BEGINS_PLAINLY.match(pattern):
                problem = "can never match: it is held against the whole JSON, which begins with a brace or bracket"
                yield Finding(where, problem, "Write .* on both sides of it.")
        patterns += [(f"{path}.response_validation_regex", guardrail.response_validation_regex or "")]
        for where, pattern in patterns:
            if wrong := _regex_problem(pattern):
                yield Finding(where, wrong, "Correct it; Java's dialect counts.")


def _regex_problem(pattern: str) -> str | None:
    if RUNS_AWAY.search(pattern):
        return "repeats a group that repeats, with which a match may take for ever"
    if JAVA_ONLY.search(pattern):
        return None
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return "is no regular expression, and the model cannot be deployed with it"
    return None


def _interface(interface: Interface) -> Iterator[Finding]:
    for side in ("input", "output"):
        path, schema = f"model.interface.{side}", getattr(interface, side)
        if isinstance(schema, str):
            schema = _json(schema)
            if not isinstance(schema, dict):
                yield Finding(path, "is no JSON Schema: a mapping, or the JSON text of one", "Write it as a mapping.")
                continue
        if schema is not None and not _is_schema(schema):
            yield Finding(path, "is no valid JSON Schema, so that every predict would be refused", "Correct it.")


def _is_schema(schema: Any) -> bool:
    """Tell whether something has the shape of a JSON Schema, as far as the meta-schema decides it."""
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    types = schema.get("type", [])
    inside = [schema[key] for key in HOLDS_SCHEMA if key in schema and not isinstance(schema[key], list)]
    for key, kind in KINDS.items():
        if key in schema and (not isinstance(schema[key], kind) or isinstance(schema[key], bool)):
            return False
    inside += [one for key in HOLDS_SCHEMAS for one in schema.get(key, [])]
    inside += [one for key in NAMES_SCHEMAS for one in schema.get(key, {}).values()]
    names = types if isinstance(types, list) else [types]
    return (
        all(name in TYPES for name in names)
        and all(isinstance(name, str) for name in schema.get("required", []))
        and all(map(_is_schema, inside))
    )


def _config(config: ModelConfig) -> Iterator[Finding]:
    path = "model.model_config"
    own = _json(config.all_config) if config.all_config is not None else {}
    if not isinstance(own, dict):
        yield Finding(
            f"{path}.all_config", "is not the JSON text of an object", "Write one line of JSON, or remove it."
        )
        return
    for name in sorted(own.keys() & (config.additional_config or {}).keys()):
        yield Finding(
            f"{path}.additional_config.{name}", "is in all_config too, and the server takes it once", "Remove one."
        )
    if config.model_type.lower() == "text_embedding":
        for field in ("embedding_dimension", "framework_type"):
            if getattr(config, field) is None:
                yield Finding(f"{path}.{field}", "is missing, and model_type text_embedding needs it", "Add it.")
        if "space_type" not in (config.additional_config or {}):
            yield Finding(
                f"{path}.additional_config.space_type",
                "is missing, and model_type text_embedding needs it",
                "Add it, for instance l2 or cosinesimil.",
            )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
