"""Blueprints' documents for property tests: most are valid, and some are wrong in one of the ways that people write."""

from __future__ import annotations

import json
import string
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]

HOSTS = ("https://api.example.com", "https://models.example.org:8443", "http://127.0.0.1:9", "https://[::1]:9/base")
AWS_HOST = "https://bedrock-runtime.eu-west-1.amazonaws.com"
PLAIN = string.ascii_letters + string.digits + " .,!?():@-_/'\""
NAMES = st.sampled_from(
    ["model", "input", "max_tokens", "top_p", "a.b", "deep.er.name", "with space", "ünï", "x-y", "1"]
)
PARAMETER_NAMES = st.one_of(
    NAMES,
    st.text(string.ascii_letters + string.digits + "_.- ü日/\\\"'<>&", min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(
        ["", " ", "null", "3", "true", '"', "\\", "\\n", "a\tb\r\nc", "</script>", "\u2028", "日本語 \U0001f600"]
    ),
    st.sampled_from(["${parameters.model}", "${parameters.x:-y}", "${parameters.model:-null}", "$${x}", "{{x}}", "$1"]),
    st.builds(lambda letter, length: letter * length, st.sampled_from("xü日"), st.integers(1_000, 10_900)),
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, 1e30, 1.5e-7]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARAMETER_NAMES, inner, max_size=3),
    max_leaves=6,
)
# Where a body holds this, its text gets a placeholder: with quotes around it, or without.
QUOTED, BARE = "@quoted@", "@bare@"


def _now_and_then(usual: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 24).flatmap(lambda number: wrong if number == 24 else usual)


def _names(size: int) -> st.SearchStrategy[Any]:
    letters = PLAIN + "日üжñ٣"
    return _now_and_then(st.text(PLAIN, min_size=1, max_size=size), st.text(letters + "&<;*\u200b\x00", max_size=size))


@st.composite
def _json_texts(draw: st.DrawFn) -> str:
    leaves = st.sampled_from([QUOTED, BARE, 1, 0.5, True, None, "a text", 'of "quotes" and \\', "日本\n"])
    tree = draw(
        st.dictionaries(
            st.sampled_from(["model", "input", "a b", "ü"]), leaves | st.lists(leaves, max_size=3), max_size=4
        )
    )
    text = json.dumps(tree, indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))
    name = draw(st.sampled_from(["model", "input", "texts", "x:-null", "x:-7"]))
    return text.replace(f'"{BARE}"', f"${{parameters.{name}}}").replace(QUOTED, f"${{parameters.{name}}}")


TYPES = [
    *(["predict"], ["Predict"], ["predict", "execute"], ["predict", "predict"], ["predict", "batch_predict"]),
    ["predict", "batch_predict", "BATCH_PREDICT_status", "cancel_batch_predict"],
]
BODIES = _now_and_then(
    st.one_of(
        _json_texts(),
        st.lists(_json_texts().filter(lambda text: "\n" not in text), min_size=2, max_size=3).map(
            lambda lines: "\n".join(lines) + "\n"
        ),
        st.sampled_from(["{}", "${parameters.input}", "[${parameters.input}]", '["${parameters.input}"]']),
    ),
    TEXTS,
)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-A", "x-trace.id", "Accept", "User_Agent", "X-Number"]),
    _now_and_then(
        st.sampled_from(["application/json", "", 7, True, 1.5, "ünï 日", "${parameters.model}", "a\tb", "x" * 4_000]),
        TEXTS,
    ),
    max_size=3,
)
SCRIPTS = [None, "", "\n  def a = params.x;\n  return '{\"b\": ' + a + '}';\n"]
OF_INPUT = "connector.pre_process.openai.embedding"
CLIENT_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "max_connection": st.integers(1, 2**31 - 1),
        "connection_timeout": st.integers(1, 2**31 - 1),
        "read_timeout": st.integers(1, 2**31 - 1),
        "skip_ssl_verification": st.booleans(),
    },
)
RETRIES = st.fixed_dictionaries(
    {"max_retry_times": st.integers(1, 2**31 - 1) | st.just(-1)},
    optional={
        "retry_backoff_millis": st.integers(0, 2**31 - 1),
        "retry_timeout_seconds": st.integers(0, 2**31 - 1),
        "retry_backoff_policy": st.sampled_from(["constant", "EXPONENTIAL_EQUAL_JITTER", "exponential_full_jitter"]),
    },
)
PATHS = st.sampled_from(
    [
        "/v1/embeddings",
        "/v1/${parameters.model}:run?a=b&c=d",
        "/a%20b/(c)*",
        "",
        "?v=1",
        "/~x;y=1,2!$'",
        "/a/../b",
        "//",
    ]
)


@st.composite
def _actions(draw: st.DrawFn, host: str, header: Document) -> list[Document]:
    types = draw(st.sampled_from(TYPES))
    made = []
    for number, action_type in enumerate(types):
        body = draw(BODIES)
        functions = [*SCRIPTS, OF_INPUT] if "${parameters.input}" in body else SCRIPTS
        action = {
            "action_type": action_type,
            "method": draw(st.sampled_from(["POST", "POST", "post", "PUT", "GET", "DELETE"])),
            "url": host + draw(PATHS),
            "headers": {**draw(HEADERS), **(header if number == 0 else {})},
            "request_body": body,
            "pre_process_function": draw(st.sampled_from(functions)),
            "name": "an-action_1" if number == 1 and draw(st.booleans()) else None,
        }
        made.append({key: value for key, value in action.items() if value not in (None, {})})
    return made


@st.composite
def documents(draw: st.DrawFn, conn_id: str = "generated") -> Document:
    """A document whose credential refers to fields of one connection, and to a variable of its name.

    :param conn_id: the connection and the variable that hold the secrets.
    """
    signed = draw(st.booleans())
    parameters = draw(st.dictionaries(PARAMETER_NAMES, VALUES, max_size=5))
    key = {"conn_id": conn_id, "field": "password"}
    if signed:
        credential: Document = {"access_key": {"conn_id": conn_id, "field": "login"}, "secret_key": key}
        if draw(st.booleans()):
            credential["session_token"] = {"conn_id": conn_id, "field": "extra.aws_session_token"}
        parameters |= {"region": "eu-west-1", "service_name": "bedrock"}
        actions = draw(_actions(AWS_HOST, {}))
    else:
        name = draw(st.sampled_from(["key", "openAI_key", "a-b", "ü"]))
        credential = {name: draw(st.sampled_from([key, {"variable": conn_id}]))}
        actions = draw(_actions(draw(st.sampled_from(HOSTS)), {"Authorization": f"Bearer ${{credential.{name}}}"}))
    connector: Document = {
        "name": draw(_names(30)),
        "version": draw(st.sampled_from([1, 2.5, "2.0-beta", "ü", True])),
        "protocol": "aws_sigv4" if signed else "http",
        "credential": credential,
        "parameters": parameters,
        "actions": actions,
    }
    if draw(st.booleans()):
        connector["description"] = draw(_names(80))
    if draw(st.booleans()):
        connector["client_config"] = {**draw(CLIENT_CONFIGS), **(draw(RETRIES) if signed else {})}
    return {"connector": connector}
