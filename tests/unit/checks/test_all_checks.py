from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from opensearch_ml.checks import versions
from opensearch_ml.checks.texts import MAX_VALUE_BYTES
from tests.support import seeds
from tests.support.examples import CANARY, URL, action, only, parsed, paths, refusal, refused
from tests.support.parsing import parse_blueprint

HEADERS = "connector.actions.0.headers"


def accepted(connector: dict[str, Any] | None = None, **parts: Any) -> bool:
    parsed(connector, **parts)
    return True


# ---- the documents' own connectors


@pytest.mark.parametrize("name", seeds.AS_THEY_STAND)
def test_a_documented_connector_is_valid_as_it_stands(name: str) -> None:
    assert parse_blueprint(name, {"connector": seeds.AS_THEY_STAND[name]}, source=name)


@pytest.mark.parametrize("name", seeds.HOST_IN_A_PARAMETER)
def test_a_documented_connector_with_its_host_in_a_parameter_is_refused_for_that_alone(name: str) -> None:
    finding = only(refusal({"connector": seeds.HOST_IN_A_PARAMETER[name]}))
    assert finding.path == "connector.actions.0.url"
    assert "a caller of predict could send the credential elsewhere" in finding.problem


@pytest.mark.parametrize("name", seeds.HOST_IN_A_PARAMETER)
def test_it_is_valid_once_its_host_is_written_out(name: str) -> None:
    connector = copy.deepcopy(seeds.HOST_IN_A_PARAMETER[name])
    first = connector["actions"][0]
    for parameter in ("endpoint", "region"):
        first["url"] = first["url"].replace(f"${{parameters.{parameter}}}", connector["parameters"].get(parameter, ""))
    for inline in (False, True):
        assert parse_blueprint(name, {"connector": connector, "inline": inline}, source=name)


def test_a_template_that_nobody_filled_is_refused_where_it_is_empty() -> None:
    assert set(paths(refusal({"connector": seeds.SAGEMAKER_TEMPLATE}))) == {
        "connector.name",
        "connector.description",
        "connector.actions.0.url",
        "connector.actions.0.request_body",
    }


# ---- credential


@pytest.mark.parametrize("value", [CANARY, "", "short", 1234, True, "${variables.key}"])
def test_a_literal_credential_is_refused(value: bool | int | str) -> None:
    finding = only(refused({"credential": {"key": value}}))
    assert finding.path == "connector.credential.key"
    assert finding.fix == "Write a reference instead: key: {conn_id: my_connection, field: password}."


def test_roles_regions_and_services_are_no_secrets() -> None:
    assert accepted(
        {
            "protocol": "aws_sigv4",
            "credential": {
                "roleArn": "arn:aws-cn:iam::111122223333:role/service-role/my+role=,.@-_1",
                "externalAccountRoleArn": "arn:aws-cn:iam::444455556666:role/other",
                "region": "eu-central-1",
                "service_name": "bedrock",
            },
            "actions": [action()],
        }
    )


@pytest.mark.parametrize("key", ["roleArn", "externalAccountRoleArn", "region", "service_name"])
@pytest.mark.parametrize("value", [CANARY.upper(), "wJalrXUtnFEMI/K7MDENG", "arn:aws:iam::1:user/x", ""])
def test_what_does_not_look_like_one_is_taken_for_a_secret(key: str, value: str) -> None:
    error = refused({"credential": {"key": {"conn_id": "a"}, key: value}})
    assert paths(error) == [f"connector.credential.{key}"]
    assert f"does not look like a {key}" in str(error)


def test_an_empty_credential_is_refused_although_no_header_needs_one() -> None:
    finding = only(refused({"credential": {}, "actions": [action()]}))
    assert finding.path == "connector.credential"


def test_our_own_marks_are_no_users_parameters() -> None:
    assert paths(refused({"parameters": {"opensearch_ml_owner": "me"}})) == ["connector.parameters.opensearch_ml_owner"]


# ---- literal secrets


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", "secret"),
        ("authorization", "Basic ${parameters.login}"),
        ("X-Api-Key", "abc"),
        ("api-key", "abc"),
        ("Ocp-Apim-Subscription-Key", "abc"),
        ("X-Auth-Token", ""),
        ("Cookie", "session=1"),
        ("X-Anything", f"Bearer {CANARY}"),
        ("X-Anything", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_a_secret_in_a_header_is_refused(header: str, value: str) -> None:
    assert f"{HEADERS}.{header}" in paths(refused({"actions": [action(headers={header: value})]}))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", "Bearer ${credential.key}"),
        ("api-key", "${credential.key}"),
        ("Idempotency-Key", "fixed"),
        ("X-Monkey", "value"),
        ("X-Author", "me"),
        ("anthropic-version", "2023-06-01"),
        ("x-amz-content-sha256", "required"),
    ],
)
def test_a_header_without_one_is_fine(header: str, value: str) -> None:
    assert accepted({"actions": [action(headers={header: value})]})


@pytest.mark.parametrize("name", ["api_key", "openAI_key", "secret", "my.password", "session_token", "access-key"])
def test_a_parameter_with_a_secrets_name_is_refused(name: str) -> None:
    assert paths(refused({"parameters": {name: "anything"}})) == [f"connector.parameters.{name}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 7),
        ("token_limit", "9"),
        ("primary_key", "id"),
        ("key", "id"),
        ("endpoint_name", "risk-assessment-model-for-production-v2"),
        ("model", "disk-utilisation-monitoring-2024"),
        ("index", "task-4711aaaabbbbccccdddd"),
        ("auth", "Basic authentication is off"),
        ("note", "Bearer of bad news"),
        ("eos_token", "</s>"),
        ("next_token", "0"),
        ("return_token", True),
        ("prompt", "In a shell, ${HOME is not closed"),
    ],
)
def test_a_parameter_without_one_is_fine(name: str, value: bool | int | str) -> None:
    assert accepted({"parameters": {name: value}})


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}?api-key=abc",
        f"{URL}?v=1&key=abc",
        f"{URL}?KEY=abc",
        f"{URL}?access_token=${{parameters.x}}&sig=abc",
    ],
)
def test_a_key_in_a_urls_query_is_refused(url: str) -> None:
    assert paths(refused({"actions": [action(url=url)]})) == ["connector.actions.0.url"]


def test_a_urls_query_without_one_is_fine() -> None:
    assert accepted({"actions": [action(url=f"{URL}?api-version=2024-02-01&keyword=x")]})


@pytest.mark.parametrize(
    "parts",
    [
        {"model": {"description": "see hf_abcdefghijklmnopqrstu1"}},
        {"smoke_test": {"parameters": {"x": "ghp_abcdefghijklmnopqrstu1"}, "expect": {"path": "a"}}},
        {"variables": {"x": {"y": ["-----BEGIN RSA PRIVATE KEY-----"]}}},
    ],
)
def test_a_secret_anywhere_else_in_the_file_is_refused(parts: dict[str, Any]) -> None:
    assert any("literal secret" in finding.problem for finding in refused(**parts).findings)


# ---- placeholders


def test_a_credential_that_is_not_there_is_refused() -> None:
    finding = only(refused({"actions": [action(headers={"Authorization": "Bearer ${credential.nope}"})]}))
    assert finding.path == f"{HEADERS}.Authorization"
    assert "the server would send the placeholder itself" in finding.problem
    assert finding.fix == "Add nope under connector.credential."


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"actions": [action(url=f"{URL}/${{credential.key}}")]}, "connector.actions.0.url"),
        ({"actions": [action(request_body='{"k": "${credential.key}"}')]}, "connector.actions.0.request_body"),
        ({"parameters": {"x": "${credential.key}"}}, "connector.parameters.x"),
    ],
)
def test_a_credential_outside_of_headers_is_refused(fields: dict[str, Any], path: str) -> None:
    assert paths(refused(fields)) == [path]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${parameter.input}", "parameters"),
        ("${params.input}", "parameters"),
        ("${Parameters.input}", "parameters"),
        ("${ parameters.input }", "parameters"),
        ("${parameters.input }", "parameters"),
        ("${credentials.key}", "credential"),
        ("${variable.x}", "variables"),
    ],
)
def test_a_misspelt_placeholder_is_refused_with_the_right_one(written: str, meant: str) -> None:
    error = refused({"actions": [action(request_body=f'{{"a": "{written}"}}')]})
    assert f"Write ${{{meant}.…}}, without spaces." in [finding.fix for finding in error.findings]


@pytest.mark.parametrize("text", ["${user.name}", "$", "${}", "${x}", "{{input}}"])
def test_what_is_no_placeholder_of_ours_is_left_alone(text: str) -> None:
    assert accepted({"actions": [action(request_body=f'{{"a": "{text}"}}')]})


@pytest.mark.parametrize(
    "header",
    ["Authorization", "cookie", "X-API-Key", "X-Forwarded-For", "Host", "forwarded", "X-Auth-Header", "True-Client-IP"],
)
def test_a_header_that_a_caller_must_not_set_takes_no_parameter(header: str) -> None:
    error = refused({"actions": [action(headers={header: "${credential.key} ${parameters.x}"})]})
    assert paths(error) == [f"{HEADERS}.{header}"]
    assert "a caller of predict could set" in str(error)


def test_other_headers_may_take_a_parameter_but_none_of_mcp() -> None:
    headers = {"X-Request-Id": "${parameters.id}"}
    assert accepted({"actions": [action(headers=headers)]})
    mcp = {"protocol": "mcp_sse", "url": URL, "actions": [], "credential": {}, "headers": headers}
    assert paths(refused(mcp)) == ["connector.headers.X-Request-Id"]


# ---- actions


def test_a_second_action_that_the_server_would_never_use_is_refused() -> None:
    finding = only(refused({"actions": [action(), action(), action(action_type="execute")]}))
    assert finding.path == "connector.actions.1"
    assert finding.fix == "Remove one of actions 0 and 1."
    assert accepted({"actions": [action(), action(name="second"), action(action_type="batch_predict")]})


@pytest.mark.parametrize(
    ("field", "name", "hint"),
    [
        ("pre_process_function", "connector.pre_process.openai.embeddings", "connector.pre_process.openai.embedding?"),
        ("pre_process_function", "connector.post_process.openai.embedding", "connector.pre_process.openai.embedding?"),
        ("post_process_function", " connector.post_process.cohere.rerank", "connector.post_process.cohere.rerank?"),
        ("post_process_function", "connector.x", "Known here: "),
    ],
)
def test_a_function_that_the_server_does_not_have_is_refused(field: str, name: str, hint: str) -> None:
    finding = only(refused({"actions": [action(**{field: name})]}))
    assert finding.path == f"connector.actions.0.{field}"
    assert hint in finding.fix


@pytest.mark.parametrize("field", ["pre_process_function", "post_process_function"])
def test_every_function_of_the_server_and_every_script_is_fine(field: str) -> None:
    for name in [*versions.FUNCTIONS[field], "return params.x;", "\n  def x = '$'; return x;\n", ""]:
        used = ("texts", "images", "query", "input", "inputText", "inputImage", "inputVideo", "inputAudio", "queries")
        body = json.dumps({key: f"${{parameters.{key}}}" for key in used})
        assert accepted({"actions": [action(**{field: name}, request_body=body)]})


@pytest.mark.parametrize(
    "body",
    [
        '{"a": "${parameters.a}", "b": ${parameters.b}, "c": ["${parameters.c:-null}"]}',
        "${parameters.inputs}",
        " ${parameters.inputs}\n",
        '["${parameters.a}${parameters.b}", ${parameters.n}]',
        '{\n  "a": "line break"\n}\n',
        '{"index": ${parameters.i}}\n{"text": "${parameters.t}"}\n',
    ],
)
def test_a_body_that_becomes_json_is_fine(body: str) -> None:
    assert accepted({"actions": [action(request_body=body)]})


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "text",
        '"${parameters.a}"',
        "7",
        '{"a": ${parameters.a}',
        '{"a": x${parameters.a}}',
        "{'a': '${parameters.a}'}",
        '{"a": 1,}',
        '{\n  "a": "line\n break"\n}\n',
        '{"a": NaN}',
        '{"a": 1}\nnot json',
    ],
)
def test_a_body_that_never_becomes_json_is_refused(body: str) -> None:
    finding = only(refused({"actions": [action(request_body=body)]}))
    assert finding.path == "connector.actions.0.request_body"


def test_a_parameter_of_a_predict_may_bring_any_part_of_the_json() -> None:
    fields = {"actions": [action(request_body='{"a": 1, ${parameters.more}}')]}
    given = {"more": '"b": 2', "no_escape_params": "other, more"}
    assert accepted(fields, smoke_test={"parameters": given, "expect": {"path": "a"}})


def test_a_parameter_as_text_is_filled_where_a_parameter_asks_for_it() -> None:
    fields = {
        "parameters": {"prompt": "Say ${parameters.text.toString()}"},
        "actions": [action(request_body='{"a": "${parameters.prompt}"}')],
    }
    assert accepted(fields)
    assert accepted(fields, smoke_test={"parameters": {"text": 'the "word"'}, "expect": {"path": "a"}})


# ---- URLs and trusted endpoints


def test_a_url_is_judged_with_the_connectors_own_parameters() -> None:
    fields = {"parameters": {"model": "a b"}, "actions": [action(url=f"{URL}/${{parameters.model}}")]}
    assert "percent-encoded" in only(refused(fields)).problem


def test_a_pattern_that_could_trust_more_is_refused_with_its_place() -> None:
    error = refused(trusted_endpoints=[r"^https://api\.openai\.com/.*$", "https://.*"])
    assert paths(error) == ["trusted_endpoints.1"]


def test_a_pattern_that_fits_no_url_and_a_url_that_fits_no_pattern_are_told() -> None:
    error = refused(trusted_endpoints=[r"^https://b\.com/x$"])
    assert paths(error) == ["trusted_endpoints.0", "trusted_endpoints"]


# ---- access, protocol, smoke test


@pytest.mark.parametrize(
    ("access", "field"),
    [
        ({"access_mode": "public", "backend_roles": ["a"]}, "backend_roles"),
        ({"access_mode": "private", "add_all_backend_roles": True}, "backend_roles"),
        ({"access_mode": "restricted"}, "access_mode"),
        ({"backend_roles": ["a"], "add_all_backend_roles": True}, "backend_roles"),
    ],
)
def test_access_that_the_server_refuses_halfway_is_refused_before(access: dict[str, Any], field: str) -> None:
    assert paths(refused(access)) == [f"connector.{field}"]
    assert paths(refused(model={"group": {"name": "g", **access}})) == [f"model.group.{field}"]


@pytest.mark.parametrize(
    "access",
    [
        {"access_mode": "public"},
        {"access_mode": "private", "backend_roles": []},
        {"access_mode": "restricted", "backend_roles": ["a"]},
        {"access_mode": "restricted", "add_all_backend_roles": True},
        {"backend_roles": ["a"]},
    ],
)
def test_access_that_the_server_takes_is_fine(access: dict[str, Any]) -> None:
    assert accepted(access)
    assert accepted(model={"group": {"name": "g", **access}})


def test_an_internal_connector_is_shared_by_its_models_group() -> None:
    access = {"access_mode": "restricted", "backend_roles": ["a"]}
    assert paths(refused(access, inline=True)) == ["connector.access_mode", "connector.backend_roles"]
    assert accepted(inline=True, model={"group": {"name": "g", **access}})


@pytest.mark.parametrize(
    ("connector", "parts", "path"),
    [
        ({"actions": []}, {}, "connector.actions"),
        ({"actions": [action(action_type="execute")]}, {}, "connector.actions"),
        ({"url": URL}, {}, "connector.url"),
        ({"headers": {"X": "y"}}, {}, "connector.url"),
        ({"protocol": "mcp_sse", "actions": []}, {}, "connector.url"),
        ({"protocol": "mcp_sse", "url": URL}, {}, "connector.protocol"),
        ({"protocol": "mcp_sse", "url": URL, "actions": []}, {"inline": True}, "connector.protocol"),
        (
            {"protocol": "mcp_sse", "url": URL, "actions": []},
            {"smoke_test": {"parameters": {}, "expect": {"path": "a"}}},
            "connector.protocol",
        ),
        ({"protocol": "aws_sigv4"}, {}, "connector.credential"),
    ],
)
def test_what_does_not_go_with_the_protocol_is_refused(
    connector: dict[str, Any], parts: dict[str, Any], path: str
) -> None:
    assert path in paths(refused(connector, **parts))


@pytest.mark.parametrize(
    ("credential", "parameters", "lacking"),
    [
        (("access_key",), {"region": "a", "service_name": "b"}, ["connector.credential"]),
        (("access_key", "secret_key"), {}, ["connector.parameters.region", "connector.parameters.service_name"]),
        (("access_key", "secret_key"), {"region": "a"}, ["connector.parameters.service_name"]),
    ],
)
def test_what_signing_needs_has_to_be_there(
    credential: tuple[str, ...], parameters: dict[str, str], lacking: list[str]
) -> None:
    fields = {
        "protocol": "aws_sigv4",
        "credential": {key: {"conn_id": "a"} for key in credential},
        "parameters": parameters,
        "actions": [action()],
    }
    assert paths(refused(fields)) == lacking


def test_a_smoke_test_gives_every_parameter_that_the_action_uses() -> None:
    fields = {
        "parameters": {"model": "m"},
        "actions": [
            action(
                url=f"{URL}/${{parameters.version}}",
                request_body='{"m": "${parameters.model}", "i": "${parameters.input}", "d": ${parameters.d:-1}}',
            )
        ],
    }
    expect = {"path": "a"}
    error = refused(fields, smoke_test={"parameters": {}, "expect": expect})
    assert paths(error) == ["smoke_test.parameters.input", "smoke_test.parameters.version"]
    assert accepted(fields, smoke_test={"parameters": {"input": "x", "version": 1}, "expect": expect})
    relaxed = {**fields, "parameters": {"model": "m", "skip_validating_missing_parameters": True}}
    assert accepted(relaxed, smoke_test={"parameters": {}, "expect": expect})


# ---- texts


@pytest.mark.parametrize("text", ['OpenAI: chat (3.5), it\'s "new"!', "日本語 и кириллица ünï 4", "a_b-c/d@e?\nnext"])
def test_letters_of_any_script_and_plain_punctuation_are_fine(text: str) -> None:
    assert accepted({"name": text, "description": text}, model={"name": text, "description": text, "group": text})


@pytest.mark.parametrize(
    "text", ["a & b", "a; b", "<a>", "a*", "50 %", "a #1", "a=b", "a…", "a \U0001f600", "a\u2019b"]
)
def test_characters_that_newer_servers_refuse_are_refused(text: str) -> None:
    error = refused(
        {"name": text, "description": text},
        model={"name": text, "description": text, "group": {"name": text, "description": text}},
    )
    assert paths(error) == [
        f"{part}.{field}" for part in ("connector", "model", "model.group") for field in ("name", "description")
    ]


@pytest.mark.parametrize("name", ["", " ", "x" * 257])
def test_a_name_is_neither_blank_nor_too_long_to_be_found(name: str) -> None:
    assert paths(refused({"name": name}, model={"name": name, "group": name})) == [
        "connector.name",
        "model.name",
        "model.group",
    ]


def test_a_value_that_is_too_long_to_be_stored_is_refused() -> None:
    long = "x" * (MAX_VALUE_BYTES + 1)
    assert paths(refused({"parameters": {"a": long, "b": {"c": [long]}}})) == [
        "connector.parameters.a",
        "connector.parameters.b",
    ]
    assert paths(refused({"actions": [action(pre_process_function=long)]})) == [
        "connector.actions.0.pre_process_function"
    ]
    assert accepted({"parameters": {"a": long[:-1]}, "description": long})
