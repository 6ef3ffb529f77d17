from __future__ import annotations

from typing import Any

import pytest

from opensearch_ml.checks import request_body


def filled(body: str, own: dict[str, Any] | None = None, given: dict[str, Any] | None = None) -> str:
    return request_body.filled(body, {**request_body.of_connector(own or {}), **request_body.of_predict(given or {})})


@pytest.mark.parametrize(
    ("own", "given", "result"),
    [
        ({"a": 'the "word"'}, {}, 'the "word"'),
        ({}, {"a": 'the "word"'}, '\\"'.join(["the ", "word", ""])),
        ({"a": 1}, {"a": 2}, "2"),
        ({"a": True}, {}, "true"),
        ({"a": [1, "x"]}, {}, '[1,"x"]'),
        ({}, {"a": ["x", {"y": 1}]}, '["x",{"y":1}]'),
        ({}, {"a": '{"b": 1}'}, '{"b": 1}'),
        ({}, {"a": '"b": 1', "no_escape_params": "x, a"}, '"b": 1'),
        ({"a": "x ${parameters.b}", "b": "y"}, {}, "x y"),
        ({"a": "x ${parameters.b:-z}"}, {}, "x z"),
        ({"a": "x ${parameters.b.toString()}"}, {"b": ["q"]}, 'x [\\"q\\"]'),
        ({}, {}, "${parameters.a}"),
    ],
)
def test_a_parameter_is_filled_in_as_the_server_does(own: dict[str, Any], given: dict[str, Any], result: str) -> None:
    assert filled("<${parameters.a}>", own, given) == f"<{result}>"


def test_a_quoted_default_of_null_is_null() -> None:
    assert filled('"${parameters.a:-null}"') == "null"
    assert filled('"${parameters.a:-null}"', {"a": "b"}) == '"b"'


def test_as_text_is_filled_only_where_a_parameter_asks_for_it() -> None:
    assert filled("${parameters.a.toString()}", {"a": "b"}) == "${parameters.a.toString()}"


@pytest.mark.parametrize(
    "own", [{"a": "${parameters.a}"}, {"a": "${parameters.b}", "b": "${parameters.c}", "c": "${parameters.a}"}]
)
def test_a_circle_has_no_end(own: dict[str, str]) -> None:
    with pytest.raises(request_body.Endless):
        filled("${parameters.a}", own)


def test_what_would_be_a_thousand_million_characters_is_not_written() -> None:
    own = {f"a{n}": f"${{parameters.a{n + 1}}}" * 2 for n in range(40)} | {"a40": "x"}
    with pytest.raises(request_body.Endless):
        filled("${parameters.a0}", own)


@pytest.mark.parametrize("text", ["{}", "[1]", '{"a": 1}\n\n{"b": 2}\n', ' {\n"a": 1\n}'])
def test_json_and_ndjson_may_be_sent(text: str) -> None:
    assert request_body.is_json_or_ndjson(text)


@pytest.mark.parametrize("text", ["", "\n", "1", '"a"', "null", "{}{}", '{"a": NaN}', '{"a": "\n"}', "[" * 100_000])
def test_anything_else_may_not(text: str) -> None:
    assert not request_body.is_json_or_ndjson(text)
