"""No text makes the checks run for long: a pull request must not stop whoever checks it."""

from __future__ import annotations

import time

import pytest

from opensearch_ml.errors import InvalidBlueprint
from tests.support.examples import action, document
from tests.support.parsing import parse_blueprint

PARTS = [
    *("${parameters.", "${parameters.a", "${parameters.a:-", "${parameters.a:-${", "${ ", "${a.", "${credential.k}"),
    *("sk-", "sk-a-", "Bearer ", "eyJaaaaaaaaa.", "AKIA", "-----BEGIN ", "?key=", "a-", "_key", "https://", "%", "a."),
    *(
        "[",
        "{",
        '"',
        "\\",
        "/",
        "//",
        "/*",
        "/* ",
        "(",
        "(a+",
        "*",
        "(*",
        "'",
        "\n",
        " ",
        "\u202e",
        "é",
        "''",
        "^",
        ".*",
    ),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_long_text_anywhere_is_checked_in_no_time(part: str) -> None:
    text = part * (20_000 // len(part))
    everywhere = document(
        {
            "name": text[:200],
            "description": text,
            "parameters": {"a": text, text[:10_000]: "b", "list": [text]},
            "actions": [
                action(
                    url=f"https://a.com/{text}",
                    headers={"X-A": text, text[:10_000]: "b"},
                    request_body=text,
                    pre_process_function=f"x {text}",
                    post_process_function=text,
                )
            ],
        },
        trusted_endpoints=[f"^https://a\\.com/{text}$", text],
        model={"guardrails": {"input_guardrail": {"regex": [text, f".*{text}"]}}, "interface": {"input": text}},
        smoke_test={"parameters": {"a": text}, "expect": {"path": text}},
        variables={"a": text},
    )
    started = time.process_time()
    with pytest.raises(InvalidBlueprint):
        parse_blueprint("probe", everywhere, source="probe.yaml")
    assert time.process_time() - started < 4  # all of it is linear; 1 s is usual
