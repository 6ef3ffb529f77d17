from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ml.blueprint import placeholders


class Told(list[tuple[str, object]]):
    """Keeps what is told, with its path."""

    def __call__(self, path: str, what: object) -> None:
        self.append((path, what))


def filled(tree: Any, missing: list[tuple[str, str]] | None = None, **variables: Any) -> Any:
    told = [] if missing is None else missing
    return placeholders.fill_variables(tree, variables, lambda path, name: told.append((path, name)))


def test_variables_are_filled_in_nested_mappings_and_lists() -> None:
    tree = {"a": [{"b": "x-${variables.one}-y"}], "c": {"d": "${variables.two}${variables.one}"}}
    assert filled(tree, one="1", two="2") == {"a": [{"b": "x-1-y"}], "c": {"d": "21"}}


@pytest.mark.parametrize("value", [7, 1.5, True, False, None, [1, "a"], {"a": 1}])
def test_a_string_that_is_one_variable_takes_its_type(value: object) -> None:
    assert filled({"a": "${variables.x}"}, x=value) == {"a": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (True, "true"), (None, "null"), ([1, "a"], '[1,"a"]'), ({"ü": 1.5}, '{"ü":1.5}'), ("NO", "NO")],
)
def test_inside_a_longer_text_a_variable_is_written_as_json(value: object, text: str) -> None:
    assert filled("<${variables.x}>", x=value) == f"<{text}>"


def test_a_default_stands_in_for_a_missing_variable_and_is_no_finding() -> None:
    missing: list[tuple[str, str]] = []
    assert filled("${variables.x:-def}/${variables.y:-}", missing) == "def/"
    assert missing == []


def test_a_value_wins_over_the_default() -> None:
    assert filled("${variables.x:-def} ${variables.x:-def}", x="v") == "v v"


def test_every_missing_variable_is_told_with_its_path() -> None:
    missing: list[tuple[str, str]] = []
    tree = {"connector": {"actions": [{}, {"url": "${variables.b}/${variables.a}"}]}, "n": "${variables.a}"}
    filled(tree, missing)
    assert missing == [("connector.actions.1.url", "a"), ("connector.actions.1.url", "b"), ("n", "a")]


def test_variables_are_filled_in_keys_too() -> None:
    missing: list[tuple[str, str]] = []
    assert filled({"${variables.k}": {"a": 1}}, missing, k="b") == {"b": {"a": 1}}
    filled({"x": {"${variables.none}": 1}}, missing)
    assert missing == [("x.${variables.none}", "none")]


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "$$",
        "${}",
        "${variables}",
        "${variables.}",
        "${parameters.input}",
        "${credential.key}",
        "${other.x}",
        "$variables.x",
        "{variables.x}",
        "def price = '$' + params.x; return \"${\" + price + '}';",
    ],
)
def test_anything_else_with_a_dollar_stays_as_it_is(text: str) -> None:
    missing: list[tuple[str, str]] = []
    assert filled({"a": text}, missing, x="v", input="v", key="v") == {"a": text}
    assert missing == []


def test_a_placeholder_in_a_value_is_not_filled_in_turn() -> None:
    assert filled(["a ${variables.x}", "${variables.x}"], x="${variables.y}", y="no") == [
        "a ${variables.y}",
        "${variables.y}",
    ]


def test_the_given_tree_is_left_as_it_was() -> None:
    tree = {"a": ["${variables.x}"], "b": {"c": "${variables.x}"}}
    filled(tree, x="1")
    assert tree == {"a": ["${variables.x}"], "b": {"c": "${variables.x}"}}


def test_what_is_no_text_is_passed_through() -> None:
    tree = {"a": 1, "b": None, "c": [True, 1.5], 2: "x"}
    assert filled(tree) == tree


def test_parameters_are_filled_as_the_server_fills_them() -> None:
    text = "/${parameters.b}/${parameters.n}/${parameters.missing}/${parameters.d:-x}/${credential.k}"
    assert placeholders.fill(text, "parameters", {"b": True, "n": 3, "k": "no"}) == (
        "/true/3/${parameters.missing}/x/${credential.k}"
    )


def test_names_are_those_of_one_kind() -> None:
    text = "${parameters.a} ${parameters.b:-1} ${credential.c} ${variables.d}"
    assert placeholders.names(text, "parameters") == {"a", "b"}
    assert placeholders.names_without_default(text, "parameters") == {"a"}
    assert placeholders.names(text, "credential") == {"c"}


def test_every_string_is_yielded_with_its_path() -> None:
    tree = {"a": "1", "b": [{"c": "2"}, 3, "4"], "d": {"": "5"}}
    assert list(placeholders.strings(tree)) == [("a", "1"), ("b.0.c", "2"), ("b.2", "4"), ("d.", "5")]


# ---- variables that hold variables


@given(st.permutations("abcdef"), st.data())
def test_variables_are_filled_in_turn_whatever_their_order(names: list[str], data: st.DataObject) -> None:
    variables: dict[str, str] = {}
    for index, name in enumerate(names):  # each may use those before it, so that there is no circle
        used = data.draw(st.lists(st.sampled_from(names[:index]), max_size=3)) if index else []
        variables[name] = "".join([name, *(f"<${{variables.{one}}}>" for one in used)])
    told = Told()
    shuffled = dict(data.draw(st.permutations(list(variables.items()))))
    expanded = placeholders.expand(shuffled, {"x": f"${{variables.{names[-1]}}}"}, told, told)
    assert told == []
    assert names[-1] in expanded
    for name, value in expanded.items():
        assert value == placeholders.fill(variables[name], "variables", expanded)
        assert "${" not in value


def test_a_circle_is_told_once_and_only_if_it_is_needed() -> None:
    told = Told()
    variables = {"a": "${variables.b}", "b": ["${variables.a}"], "c": "${variables.a}", "d": "1"}
    placeholders.expand(variables, "${variables.c} ${variables.a}", told, told)
    assert told == [("variables.a", ["a", "b", "a"])]
    told.clear()
    assert placeholders.expand(variables, "${variables.d}", told, told) == {"d": "1"}
    assert told == []
