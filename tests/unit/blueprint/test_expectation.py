from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from opensearch_ml.blueprint import expectation
from opensearch_ml.blueprint.expectation import Expectation, at, describe, problems

SECRET = "the answer's own words"
ANSWER = {
    "inference_results": [
        {
            "output": [
                {
                    "data": [0.1, 2, -3.5],
                    "text": SECRET,
                    "flag": True,
                    "count": 3,
                    "nothing": None,
                    "mixed": [1.0, True],
                    "words": [SECRET],
                }
            ]
        }
    ]
}
OUTPUT = "inference_results.0.output.0"


def problem(path: str, **expected: Any) -> str | None:
    found = problems(ANSWER, [Expectation(path=f"{OUTPUT}.{path}", **expected)])
    return found[0] if found else None


@pytest.mark.parametrize(
    ("path", "type_"),
    [("text", "string"), ("flag", "boolean"), ("count", "number"), ("data", "array"), ("data.2", "number")],
)
def test_a_value_of_the_expected_type_is_fine(path: str, type_: str) -> None:
    assert problem(path, type=type_) is None


@pytest.mark.parametrize("type_", ["string", "number", "array", "object"])
def test_a_boolean_is_of_no_other_type(type_: str) -> None:
    assert problem("flag", type=type_) == f"{OUTPUT}.flag should be of type {type_} and is boolean"


@pytest.mark.parametrize("type_", list(expectation.TYPES))
def test_null_is_of_no_type(type_: str) -> None:
    assert problem("nothing", type=type_) == f"{OUTPUT}.nothing should be of type {type_} and is null"


def test_a_path_alone_asks_that_there_is_something() -> None:
    assert problem("nothing") is None
    assert problem("absent") is not None


def test_a_path_that_breaks_off_is_told_with_what_stands_there() -> None:
    assert problem("data.3") == f"no {OUTPUT}.data.3: {OUTPUT}.data is array of 3"
    assert problem("text.0") == f"no {OUTPUT}.text.0: {OUTPUT}.text is string of {len(SECRET)}"
    assert problem("nothing.x") == f"no {OUTPUT}.nothing.x: {OUTPUT}.nothing is null"
    with pytest.raises(LookupError, match=r"^no a: the answer is array of 0$"):
        at([], "a")


@pytest.mark.parametrize("index", ["-1", "1_0", "+1", " 1", "", "٢", "²", "1.0", "x"])
def test_only_plain_digits_are_an_index(index: str) -> None:
    with pytest.raises(LookupError):
        at([1, 2, 3], index)


@pytest.mark.parametrize(("path", "seen"), [("mixed", "array of 2"), ("words", "array of 1"), ("text", "string of 22")])
def test_a_vector_holds_numbers_only(path: str, seen: str) -> None:
    assert problem(path, dimension=2) == f"{OUTPUT}.{path} should be a vector and is {seen}"


def test_the_dimension_is_compared() -> None:
    assert problem("data", dimension=3, type="array") is None
    assert problem("data", dimension=384) == f"{OUTPUT}.data should have dimension 384 and has 3"


def test_contains_looks_in_any_case_and_only_in_strings() -> None:
    assert problem("text", contains="OWN Words", type="string") is None
    assert problem("text", contains="Straße") == f"{OUTPUT}.text should contain 'Straße' and is string of 22"
    assert problem("count", contains="3") == f"{OUTPUT}.count should contain '3' and is number"


def test_all_problems_are_told_at_once() -> None:
    expectations = [Expectation(path=path) for path in ("a", OUTPUT, "b")]
    assert len(problems(ANSWER, expectations)) == 2


@pytest.mark.parametrize(
    "contradiction",
    [
        {"type": "string", "dimension": 3},
        {"dimension": 3, "contains": "x"},
        {"type": "number", "contains": "x"},
        {"dimension": 0},
        {"path": ""},
        {"typ": "string"},
    ],
)
def test_an_expectation_that_nothing_can_meet_is_refused(contradiction: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Expectation(**{"path": "a", **contradiction})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([SECRET, 1], "array of 2"),
        (SECRET, "string of 22"),
        ({"b": SECRET, "a": 1}, "object {a, b}"),
        ({}, "object {}"),
        ({f"k{number}": SECRET for number in range(20)}, "object {k0, k1, k10, k11, k12, k13, k14, k15, …}"),
        ({SECRET: 1, "a": 2}, "object {a, …}"),
        (None, "null"),
        (True, "boolean"),
        (1.5, "number"),
    ],
)
def test_a_description_never_shows_content(value: object, words: str) -> None:
    assert describe(value) == words


def test_no_problem_shows_content() -> None:
    for path in ("text", "words", "data", "flag", "count", "nothing", "mixed", "text.x", "words.7"):
        for expected in ({"type": "object"}, {"dimension": 9}, {"contains": "zzz"}):
            assert SECRET not in (problem(path, **expected) or "")
