"""What a smoke test expects of a model's answer, and how the answer is held against it."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")  # a key that is no name may be content
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class Expectation(BaseModel):
    """One thing that the answer must hold."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    path: str = Field(
        min_length=1, description="Dotted path in the predict answer, e.g. inference_results.0.output.0.data"
    )
    type: Literal["string", "number", "boolean", "array", "object"] | None = Field(
        default=None, description="JSON type of the value at the path"
    )
    dimension: int | None = Field(default=None, ge=1, description="Length of the vector (array of numbers) at the path")
    contains: str | None = Field(default=None, description="Text that the string at the path must hold, in any case")

    @model_validator(mode="after")
    def _can_hold(self) -> Expectation:
        if self.dimension is not None and (self.type not in (None, "array") or self.contains is not None):
            raise ValueError("a dimension is that of an array, which is of no other type and contains no text")
        if self.contains is not None and self.type not in (None, "string"):
            raise ValueError("contains is for strings, so type can only be string")
        return self


def problems(answer: Any, expectations: list[Expectation]) -> list[str]:
    """Hold a predict answer against what is expected.

    :param answer: the body of ``POST /_plugins/_ml/models/{id}/_predict``.
    :return: what is wrong, one sentence each, without the answer's content beyond type and length; or nothing.
    """
    return [problem for expected in expectations if (problem := _problem(answer, expected))]


def describe(value: Any) -> str:
    """Say what a JSON value is, without its content: ``array of 384``, ``string of 12``, ``object {a, b}``."""
    if isinstance(value, (list, str)):
        return f"{'array' if isinstance(value, list) else 'string'} of {len(value)}"
    if isinstance(value, dict):
        names = sorted(filter(FIELD_NAME.fullmatch, value))
        return "object {" + ", ".join(names[:8] + ["…"] * (len(value) > len(names[:8]))) + "}"
    return "null" if value is None else next(name for name, types in TYPES.items() if _is(value, types))


def at(answer: Any, path: str) -> Any:
    """Return the value at a dotted path.

    :raises LookupError: there is none; the message says what stands where the path breaks off.
    """
    value: Any = answer
    walked: list[str] = []
    for key in path.split("."):
        try:
            value = value[_index(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise LookupError(f"no {path}: {'.'.join(walked) or 'the answer'} is {describe(value)}") from None
        walked.append(key)
    return value


def _index(key: str) -> int:
    # int() would also take -1, 1_0 and figures of other scripts.
    if not (key.isascii() and key.isdigit()):
        raise ValueError("not an index")
    return int(key)


def _problem(answer: Any, expected: Expectation) -> str | None:
    try:
        value = at(answer, expected.path)
    except LookupError as broken_off:
        return str(broken_off)
    if expected.type and not _is(value, TYPES[expected.type]):
        return f"{expected.path} should be of type {expected.type} and is {describe(value)}"
    if expected.dimension is not None:
        if not isinstance(value, list) or not all(_is(item, TYPES["number"]) for item in value):
            return f"{expected.path} should be a vector and is {describe(value)}"
        if len(value) != expected.dimension:
            return f"{expected.path} should have dimension {expected.dimension} and has {len(value)}"
    if expected.contains is not None and (
        not isinstance(value, str) or expected.contains.casefold() not in value.casefold()
    ):
        return f"{expected.path} should contain {expected.contains!r} and is {describe(value)}"
    return None


def _is(value: Any, types: tuple[type, ...]) -> bool:
    # Python's True is an int; JSON's is not a number.
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))
