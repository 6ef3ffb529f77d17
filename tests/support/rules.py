"""Every rule that a blueprint is held against, read off the source: so a new one cannot be forgotten.

A rule is named by its module and what it says; ``…`` stands for what it fills in. What a field takes is named by the
model and the field.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from tests.support.repository import REPOSITORY

PACKAGE = REPOSITORY / "plugins" / "opensearch_ml"
CHECKS = [path for path in (PACKAGE / "checks").glob("*.py") if path.stem not in ("__init__", "request_body")]
OTHERS = ("iam/permissions", "blueprint/trusted_endpoints", "blueprint/registration", "blueprint/fields")
MODULES = {
    **{path.stem: path for path in sorted((*CHECKS, *(PACKAGE / f"{name}.py" for name in OTHERS)))},
    "blueprint": PACKAGE / "blueprint" / "models.py",
}
LIMITS = {"enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems"}


def all_rules() -> set[str]:
    """Return the names of all rules."""
    return {rule for name, path in MODULES.items() for rule in _of_module(name, ast.parse(path.read_text()))} | set(
        _of_fields()
    )


def _of_module(module: str, tree: ast.Module) -> Iterator[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for function in functions:
        # What is wrong is said in a finding, an error, or by a function that is asked for the problem.
        asked = "problem" in function.name or module == "painless"
        for node in ast.walk(function):
            said: ast.expr | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                said = {"Finding": node.args[1:2], "ValueError": node.args[:1]}.get(node.func.id, [None])[0]
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                said = node.value if node.targets[0].id == "problem" else None
            elif isinstance(node, (ast.Return, ast.Yield)) and asked:
                said = node.value
            if isinstance(said, ast.Name):
                said = constants.get(said.id)
            yield from (f"{module}: {text}" for text in _texts(said) if text.strip("… "))


def _texts(said: ast.expr | None) -> Iterator[str]:
    if isinstance(said, ast.Constant) and isinstance(said.value, str):
        yield said.value
    elif isinstance(said, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in said.values)
    elif isinstance(said, ast.Tuple) and said.elts:
        yield from _texts(said.elts[0])
    elif isinstance(said, ast.IfExp):
        yield from (*_texts(said.body), *_texts(said.orelse))


def _of_fields() -> Iterator[str]:
    schema = Blueprint.model_json_schema()
    for model, definition in {"Blueprint": schema, **schema["$defs"]}.items():
        assert definition["additionalProperties"] is False, f"{model} takes what it does not know"
        yield f"fields: {model} unknown"
        for field, limits in definition["properties"].items():
            if LIMITS & set(_keywords(limits)) or field in definition.get("required", ()):
                yield f"fields: {model}.{field}"


def _keywords(limits: Any) -> Iterator[str]:
    if isinstance(limits, dict):
        for name, value in limits.items():
            yield name
            yield from _keywords(value) if name != "properties" else ()
    elif isinstance(limits, list):
        for value in limits:
            yield from _keywords(value)
