"""Findings from pydantic's errors: the field's path, what is wrong without the value, and the nearest name."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from opensearch_ml.errors import Finding

UNION_TAGS = ("reference", "literal")  # pydantic puts the tag of a union's member into the path


def findings_of(error: ValidationError | str, problem: Any = None, fix: str = "") -> list[Finding]:
    """Return the findings of a pydantic error, or the one that path, problem and fix make."""
    if isinstance(error, str):
        return [Finding(error, problem, fix)]
    return [_finding(detail, problem) for detail in error.errors(include_input=False, include_url=False)]


def nearest(name: str, known: list[str]) -> str:
    """Return `` Did you mean x?`` or the list of what is known."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(sorted(known))}."


def _finding(detail: Any, model: type[BaseModel]) -> Finding:
    location = [part for part in detail["loc"] if part not in UNION_TAGS]
    path = ".".join(map(str, location))
    if detail["type"] == "extra_forbidden":
        known = _fields(model, location[:-1])
        return Finding(path, "unknown field, which the server would drop silently", nearest(str(location[-1]), known))
    if detail["type"] == "missing":
        return Finding(path, "is missing", f"Add {path}.")
    return Finding(path, detail["msg"].removeprefix("Value error, "), f"Correct {path}.")


def _fields(model: type[BaseModel], location: list[Any]) -> list[str]:
    current: type[BaseModel] = model
    for part in location:
        by_name = {field.alias or name: field for name, field in current.model_fields.items()}
        if part in by_name:
            current = _model_inside(by_name[part].annotation) or current
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_inside(arg))), None)
