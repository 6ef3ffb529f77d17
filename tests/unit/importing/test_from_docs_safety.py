from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opensearch_ml.blueprint import loader, writer
from opensearch_ml.importing import from_docs
from opensearch_ml.importing.from_docs import NothingToImport, import_text
from tests.support.documented import (
    BODY,
    CREATE,
    REFERENCE,
    changed,
    document,
    only,
    parsed,
    with_action,
)
from tests.support.examples import CANARY

SECRETS = {
    "credential": changed(credential={"api_key": CANARY}),
    "credential of a number": changed(credential={"api_key": 12345678901234567890}),
    "several": changed(credential={"api_key": CANARY, "other": CANARY}),
    "key that is the secret": changed(credential={CANARY: "x"}),
    "header": with_action(headers={"Authorization": f"Bearer {CANARY}"}),
    "header by its name": with_action(headers={"api-key": "c4n4ry-C4n4ryThatMustNeverShowUpAnywhere"}),
    "query": with_action(url=f"https://api.example.com/v1?key={CANARY}&x=1"),
    "query of Google": with_action(url=f"https://generativelanguage.googleapis.com/v1?key={CANARY}"),
    "user in the URL": with_action(url="https://me:C4n4ryThatMustNeverShowUp@api.example.com/v1"),
    "parameter": changed(parameters={"api_key": "C4n4ryThatMustNeverShowUp", "model": "m"}),
    "parameter in a header": {**with_action(headers={"Authorization": "Bearer ${parameters.api_key}"}),
                              "parameters": {"api_key": CANARY, "model": "m"}},
    "body": with_action(request_body=json.dumps({"key": CANARY})),
    "description": changed(description=f"Use {CANARY}"),
    "repeated elsewhere": changed(credential={"api_key": "C4n4ryOfNoShape"}, description="Not C4n4ryOfNoShape again"),
    "unknown field": changed(secret=CANARY),
    "field named like it": changed(**{CANARY: "x"}),
    "repeated field": json.dumps(BODY)[:-1] + f', "{CANARY}": 1, "{CANARY}": 2}}',
}  # fmt: skip


@pytest.mark.parametrize("body", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("page", ["{}", "# Page {}\n", f"{CREATE}\n{{}}\nPOST /_plugins/_ml/models/x/_predict\n"])
def test_no_secret_comes_out(body: str | dict[str, Any], page: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    if page.startswith("#"):
        text = f"# The key is {CANARY}\n\n{text}\nPOST /_plugins/_ml/models/x/_predict\n" + json.dumps(
            {"parameters": {"input": CANARY}}
        )
    else:
        text = page.replace("{}", text, 1)
    for imported in import_text(text):
        told = imported.name + imported.yaml_text + " ".join(imported.notes)
        assert "c4n4ry" not in told.lower()
        assert "12345678901234567890" not in told
        assert imported.notes


def test_a_secret_in_a_header_moves_into_the_credential() -> None:
    imported = only(json.dumps({**with_action(headers={"x-api-key": CANARY}), "credential": {}}))
    blueprint = parsed(imported)
    assert blueprint.connector.actions[0].headers == {"x-api-key": "${credential.api_key}"}
    assert list(blueprint.connector.references) == ["api_key"]


def test_a_secret_in_the_url_of_google_moves_into_its_header() -> None:
    url = "https://generativelanguage.googleapis.com/v1beta/models/${parameters.model}:generateContent?key=<KEY>"
    blueprint = parsed(only(json.dumps({**with_action(url=url, headers={}), "credential": {}})))
    assert blueprint.connector.actions[0].url.endswith(":generateContent")
    assert blueprint.connector.actions[0].headers == {"x-goog-api-key": "${credential.api_key}"}


def test_two_secrets_of_one_platform_come_from_two_fields() -> None:
    imported = only(json.dumps(changed(credential={"api_key": "...", "organisation": "..."})))
    assert document(changed(credential={"api_key": "...", "organisation": "..."}))["connector"]["credential"] == {
        "api_key": REFERENCE,
        "organisation": {"conn_id": "example_default", "field": "extra.organisation"},
    }
    assert any("organisation from extra.organisation of example_default" in note for note in imported.notes)


HOSTILE = {
    "open braces": "{" * 200_000,
    "open objects": '{"a":' * 50_000,
    "open brackets": '{"a":' + "[" * 200_000,
    "open texts": '{"' * 100_000,
    "open typographic texts": "{“" * 100_000,
    "open triple texts": '{a:"""' * 50_000 + "{a:'''" * 50_001,
    "empty objects": "{}" * 500_000,
    "small connectors": "".join(json.dumps({"protocol": "http", "url": str(n)}) for n in range(5_000)),
    "open comments": "{/*" * 100_000,
    "backslashes": '{"' + "\\" * 300_001,
    "mentions": "POST /_plugins/_ml/connectors/_create " * 10_000,
    "curls": "curl 'a\n" * 20_000,
    "curls of quotes": "curl -d '" + 'curl "\n' * 20_000,
    "curls of bodies": "curl -d '{" * 100_000 + 'curl -d "{\\' * 100_000 + "'\\''" * 100_000,
    "headings": "# a\n" * 50_000 + "{}" * 1000,
    "angles": json.dumps(changed(parameters={"model": "<a" * 100_000})),
    "mustaches": json.dumps(changed(parameters={"model": "{{" * 100_000})),
    "html": "<pre>" * 50_000 + "{",
    "entities": '{"a": &quot;' * 20_000,
    "binary": bytes(range(256)).decode("latin-1") * 500,
    "surrogates": '{"\ud800": "\\ud800"}' * 1000,
    "huge number": '{"a": ' + "9" * 100_000 + "}",
    "notebook": '{"nbformat": 4, "cells": 7}',
    "deep notebook": '{"nbformat":' + "[" * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_ends_soon_and_gives_blueprints_or_a_reason(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(NothingToImport):
        assert all(loader.parse(one.yaml_text) for one in import_text(text))
    assert time.process_time() - started < 5


def test_a_text_of_any_length_is_refused() -> None:
    with pytest.raises(NothingToImport, match="too long"):
        import_text(" " * (from_docs.MAX_TEXT + 1))


ODD = {
    "values of wrong types": dict.fromkeys(BODY, 7),
    "lists": dict.fromkeys(BODY, ()),
    "nulls": dict.fromkeys(BODY) | {"protocol": "http"},
    "texts": dict.fromkeys(BODY, "x"),
    "actions of texts": changed(actions=["x", 1, None, {}]),
    "headers of a list": with_action(headers=["a"]),
    "credential of mappings": changed(credential={"a": {"b": CANARY}}),
    "names that are numbers": changed(parameters={"1": 2, "": 3}),
    "our own placeholders": changed(parameters={"model": "${variables.model}"}),
    "name of strange characters": changed(name="Näme \u202e ☃\n# x: y"),
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_odd_bodies_give_a_blueprint_with_notes_or_a_reason(body: dict[str, Any]) -> None:
    try:
        imported = only(json.dumps(body))
    except NothingToImport:
        return
    assert loader.parse(imported.yaml_text).content["connector"]
    assert re.fullmatch(r"[a-z0-9_]+", imported.name)
    assert CANARY not in imported.yaml_text + " ".join(imported.notes)
    if not any("To be mended" in note for note in imported.notes):
        assert parsed(imported)


plain = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,15}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
actions = st.fixed_dictionaries(
    {
        "action_type": st.sampled_from(["predict", "PREDICT", "batch_predict"]),
        "method": st.sampled_from(["POST", "get"]),
        "url": st.sampled_from(
            ["https://api.example.com/v1", "https://${parameters.endpoint}/v1", "<YOUR URL>", "http://127.0.0.1:8000/x"]
        ),
    },
    optional={
        "headers": st.dictionaries(names, plain | st.just("Bearer ${credential.key}"), max_size=3),
        "request_body": st.sampled_from(['{"a": "${parameters.a}"}', "${parameters.a}", "<BODY>"]) | plain,
        "pre_process_function": plain,
        "name": names,
    },
)
bodies = st.fixed_dictionaries(
    {
        "name": plain,
        "version": st.integers(0, 9) | plain,
        "protocol": st.sampled_from(["http", "aws_sigv4", "mcp_sse"]),
    },
    optional={
        "description": plain,
        "parameters": st.dictionaries(names, values, max_size=4),
        "credential": st.dictionaries(names, plain, max_size=3),
        "actions": st.lists(actions, max_size=3),
        "client_config": st.fixed_dictionaries({"read_timeout": st.integers(1, 60)}),
        "backend_roles": st.lists(plain, max_size=2),
        "url": st.just("https://mcp.example.com"),
        "unknown": values,
    },
)


@settings(max_examples=300, deadline=None)
@example(
    {
        "name": "",
        "version": 0,
        "protocol": "http",
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": "https://api.example.com/v1",
                "pre_process_function": "",
                "headers": {"A": "<?"},
                "request_body": "<BODY>",
            }
        ],
    }
)
@given(bodies)
def test_any_body_gives_a_blueprint_that_is_valid_or_says_what_to_mend(body: dict[str, Any]) -> None:
    imported = only(f"{CREATE}\n{json.dumps(body)}")
    if not any("To be mended" in note for note in imported.notes):
        assert parsed(imported)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60) | st.lists(
    st.sampled_from(
        ["\n", " ", "  ", "\t", "#", ":", "- ", "'", '"', "\\", "|", ">", "a", "${variables.x}", "\r", "…"]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, texts, max_size=4), texts, texts)
def test_any_text_reads_back_to_the_letter(parameters: dict[str, Any], script: str, body: dict[str, Any]) -> None:
    written = {
        "connector": {
            "parameters": parameters,
            "actions": [{"request_body": body, "pre_process_function": script, "n": [1, 1e5, "1e5", None, True, "NO"]}],
        }
    }
    assert loader.parse(writer.text_of(written, ["a comment"])).content == written
