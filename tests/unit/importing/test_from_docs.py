from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from opensearch_ml.blueprint import loader
from opensearch_ml.importing.from_docs import NothingToImport, import_text
from tests.support import seeds
from tests.support.documented import (
    BODY,
    CREATE,
    DUMPED,
    PATH,
    REFERENCE,
    SCRIPT,
    canonical_body,
    changed,
    created,
    document,
    only,
    parsed,
    with_action,
)

SHELL = DUMPED.replace("'", "'\\''")
FORMS = {
    "body alone": DUMPED,
    "compact": json.dumps(BODY),
    "fenced json": f"# A page\n\nSome text.\n\n```json\n{CREATE}\n{DUMPED}\n```\n{{% include copy-curl.html %}}\n",
    "fenced bash": f"```bash\n{CREATE}\n{DUMPED}\n```",
    "no fence": f"as in the following example:\n{CREATE}\n{DUMPED}\n{{% include copy-curl.html %}}\nIf successful,",
    "indented": "\n".join("    " + line for line in f"{CREATE}\n{DUMPED}".splitlines()),
    "quoted": "\n".join("> " + line for line in f"{CREATE}\n{DUMPED}".splitlines()),
    "windows": f"{CREATE}\n{DUMPED}".replace("\n", "\r\n"),
    "no slash": f"POST _plugins/_ml/connectors/_create\n{DUMPED}",
    "full URL": f"POST https://localhost:9200{PATH}\n{DUMPED}",
    "curl": f"curl -XPOST \"https://localhost:9200{PATH}\" -H 'Content-Type: application/json' -d'\n{SHELL}'\n",
    "curl of several lines": "$ curl --request POST \\\n  -u admin:admin \\\n"
    f"  'https://localhost:9200{PATH}' \\\n  --data-raw '{SHELL}'\n",
    "curl in double quotes": f'curl -X POST localhost:9200{PATH} -d "'
    + DUMPED.replace("\\", "\\\\").replace('"', '\\"')
    + '"',
    "here-document": f"curl -X POST localhost:9200{PATH} -d @- <<'EOF'\n{DUMPED}\nEOF\n",
    "trailing commas": re.sub(r"([\"\d}\]])\n(\s*[}\]])", r"\1,\n\2", f"{CREATE}\n{DUMPED}"),
    "lost commas": f"{CREATE}\n{DUMPED}".replace('"version": 1,', '"version": 1').replace("},\n", "}\n"),
    "comments": f"{CREATE}\n{DUMPED}".replace('"version": 1,', '"version": 1, // the first\n  # and\n /* more */')
    .replace('"protocol": "http",', '"protocol": "http", \\\\ remove this'),
    "keys without quotes": f"{CREATE}\n{DUMPED}".replace('"name":', "name:").replace('"protocol":', "protocol :"),
    "typographic quotes": f"{CREATE}\n" + DUMPED.replace('"name": "Example embedding"', "“name”: “Example embedding”"),
    "value without quotes": f"{CREATE}\n" + DUMPED.replace('"<YOUR API KEY>"', "<YOUR API KEY>"),
    "word without quotes": f"{CREATE}\n" + DUMPED.replace('"<YOUR API KEY>"', "YOUR_API_KEY"),
    "mustache without quotes": f"{CREATE}\n" + DUMPED.replace('"<YOUR API KEY>"', "{{api_key}}"),
    "dev tools' triple quotes": f"{CREATE}\n" + DUMPED.replace(json.dumps(SCRIPT), f'"""{SCRIPT}"""'),
    "single quotes": f"{CREATE}\n{BODY!r}",
    "line breaks in a text": f"{CREATE}\n" + DUMPED.replace("\\n", "\n"),
    "no-break spaces": f"{CREATE}\n" + DUMPED.replace("\n  ", "\n\u00a0\u00a0"),
    "garbage around": "{ not json }{{site.url}} }}}]] \x00\x07 {\n" + DUMPED + "\n{ \"unfinished\": [1, 2",
}  # fmt: skip


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_every_form_gives_the_documented_body_field_by_field(text: str) -> None:
    imported = only(text)
    blueprint = parsed(imported)
    assert created(blueprint) == canonical_body(BODY)
    assert {key: one.model_dump(exclude_none=True) for key, one in blueprint.connector.references.items()} == {
        "api_key": REFERENCE
    }


PYTHON = f"url = host + '{PATH}'\npayload = {BODY!r}\nr = requests.post(url, auth=awsauth, json=payload)\n"
NOT_READ = {
    "html": f"<html><body><h1>A page</h1><pre><code>{CREATE}\n{html.escape(DUMPED)}</code></pre></body></html>",
    "html with highlighting": f"<pre>{CREATE}\n"
    + html.escape(DUMPED, quote=False).replace('"name"', '<span class="nl">"name"</span>')
    + "</pre>",
    "notebook": json.dumps({"cells": [{"source": [f"{CREATE}\n", DUMPED]}], "nbformat": 4}),
    "python of an f-string": PYTHON.replace("'https://api", "f'https://api"),
    "python of a variable": PYTHON.replace("'small'", "model_name"),
}


@pytest.mark.parametrize("text", NOT_READ.values(), ids=NOT_READ.keys())
def test_formats_that_are_not_read_get_an_error_that_names_those_that_are(text: str) -> None:
    with pytest.raises(NothingToImport) as caught:
        import_text(text)
    assert "Give Markdown or a curl command" in caught.value.fix
    assert "HTML, notebooks and Python code are not read" in caught.value.fix


@pytest.mark.parametrize("name", seeds.AS_THEY_STAND)
def test_the_seeds_bodies_are_created_as_documented(name: str) -> None:
    body = getattr(seeds, name.upper())
    if "region" not in body["parameters"] or body["parameters"]["region"] != "region":
        assert created(parsed(only(json.dumps(_with_placeholders(body))))) == canonical_body(body)


@pytest.mark.parametrize("name", seeds.HOST_IN_A_PARAMETER)
def test_the_seeds_bodies_with_a_host_in_a_parameter_differ_in_the_url_alone_and_say_so(name: str) -> None:
    body = _with_placeholders(getattr(seeds, name.upper()))
    imported = only(f"{CREATE}\n{json.dumps(body, indent=1)}")
    made = created(parsed(imported))
    wanted = canonical_body(body)
    url = wanted["actions"][0].pop("url")
    for key, value in body["parameters"].items():
        url = url.replace(f"${{parameters.{key}}}", str(value))
    assert made["actions"][0].pop("url") == url
    assert made == wanted
    assert any("connector.actions.0.url" in note and "another host" in note for note in imported.notes)


def _with_placeholders(body: dict[str, Any]) -> dict[str, Any]:
    credential = {key: "..." if isinstance(value, dict) else value for key, value in body["credential"].items()}
    return {**body, "credential": credential}


def test_the_aws_template_becomes_a_blueprint_that_lacks_only_its_endpoints_name() -> None:
    imported = only(json.dumps(_with_placeholders(seeds.SAGEMAKER_TEMPLATE)))
    content = loader.parse(imported.yaml_text).content
    assert parsed(imported)
    assert content["variables"] == {"region": "us-east-1"}
    assert content["connector"]["parameters"] == {"region": "${variables.region}", "service_name": "sagemaker"}
    assert content["connector"]["actions"][0]["url"] == (
        "https://runtime.sagemaker.${variables.region}.amazonaws.com/endpoints/${variables.endpoint_name}/invocations"
    )
    assert content["connector"]["actions"][0]["request_body"] == "${parameters.inputs}"
    assert content["connector"]["credential"] == {
        "access_key": {"conn_id": "aws_default", "field": "login"},
        "secret_key": {"conn_id": "aws_default", "field": "password"},
        "session_token": {"conn_id": "aws_default", "field": "extra.aws_session_token"},
    }
    for told in ("variables.endpoint_name has no value", "connector.name is", "connector.version is 1"):
        assert any(told in note for note in imported.notes)


def test_a_role_becomes_an_arn_with_variables_and_a_role_to_care_for() -> None:
    content = document(seeds.SAGEMAKER_ROLE)
    assert content["connector"]["credential"] == {
        "roleArn": "arn:${variables.partition}:iam::${variables.account_id}:role/opensearch-sagemaker-role"
    }
    assert content["iam_role"] == {}
    assert content["connector"]["actions"][0]["url"] == (
        "https://runtime.sagemaker.${variables.region}.amazonaws.com/endpoints/${variables.endpoint_name}/invocations"
    )
    assert parsed(only(json.dumps(seeds.SAGEMAKER_ROLE)))


@pytest.mark.parametrize(
    "written", ["<PLEASE ADD YOUR AWS ROLE ARN HERE>", "your_iam_role_arn_created_in_step1", "..."]
)
def test_a_placeholder_for_a_role_gets_a_name_that_can_be_changed(written: str) -> None:
    body = {**seeds.BEDROCK, "credential": {"roleArn": written}}
    content = document(body)
    assert content["connector"]["credential"]["roleArn"].endswith(":role/${variables.role_name}")
    assert content["variables"]["role_name"] == "opensearch-bedrock-role"


def test_another_accounts_role_and_a_secret_keep_their_names() -> None:
    body = {
        **seeds.BEDROCK,
        "credential": {
            "roleArn": "arn:aws:iam::<your_aws_account_A>:role/caller",
            "externalAccountRoleArn": "arn:aws:iam::444455556666:role/invoker",
        },
    }
    credential = document(body)["connector"]["credential"]
    assert credential["roleArn"] == "arn:${variables.partition}:iam::${variables.account_id}:role/caller"
    assert credential["externalAccountRoleArn"] == "arn:${variables.partition}:iam::444455556666:role/invoker"
    body = changed(
        credential={
            "secretArn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:my-secret-AbCdEf",
            "roleArn": "arn:aws:iam::111122223333:role/reader",
        },
        actions=[{**BODY["actions"][0], "headers": {"Authorization": "Bearer ${credential.secretArn.my_key}"}}],
    )
    imported = only(json.dumps(body))
    assert "secret:my-secret-AbCdEf" in imported.yaml_text
    assert parsed(imported).connector.literals["secretArn"].endswith(":111122223333:secret:my-secret-AbCdEf")


def test_painless_and_long_bodies_are_blocks_that_read_back_to_the_letter() -> None:
    long = "{ " + ", ".join(f'"field_{n}": "${{parameters.field_{n}}}"' for n in range(20)) + " }"
    body = with_action(request_body=long)
    text = only(json.dumps(body)).yaml_text
    assert "      request_body: >-\n" in text
    assert "      pre_process_function: |" in text
    assert "\\n" not in text
    assert loader.parse(text).content["connector"]["actions"][0]["request_body"] == long
    assert loader.parse(text).content["connector"]["actions"][0]["pre_process_function"] == SCRIPT


def test_the_page_gives_model_group_smoke_test_and_expectation() -> None:
    text = f"""
# Example platform embedding

```json
PUT /_cluster/settings
{{"persistent": {{"plugins.ml_commons.trusted_connector_endpoints_regex":
    ["^https://api\\\\.example\\\\.com/.*$", "^https://.*\\\\.example\\\\.org/.*$", "<more>"]}}}}
```
{CREATE}
{DUMPED}

Response:
{{"connector_id": "abc"}}

POST /_plugins/_ml/model_groups/_register
{{"name": "my_group", "description": "This is an example description"}}
{{"model_group_id": "def"}}

POST /_plugins/_ml/models/_register?deploy=true
{{
  "name": "example model", "function_name": "REMOTE", "model_group_id": "def", "connector_id": "abc",
  "description": "test model", "is_enabled": true, "version": "1.0.0"
}}

POST /_plugins/_ml/models/<MODEL ID>/_predict
{{"parameters": {{"input": ["What is it?"], "temperature": 1}}}}

{{"inference_results": [{{"output": [{{"name": "sentence_embedding", "data_type": "FLOAT32", "shape": [1536],
   "data": [0.1, -0.2, ...]}}], "status_code": 200}}]}}
"""
    imported = only(text)
    content = loader.parse(imported.yaml_text).content
    assert imported.yaml_text.startswith("# Imported from documentation: Example platform embedding, line ")
    assert imported.name == "example_embedding"
    assert content["model"] == {
        "name": "example model",
        "description": "test model",
        "is_enabled": True,
        "group": {"name": "my_group", "description": "This is an example description"},
    }
    assert content["smoke_test"] == {
        "parameters": {"input": ["What is it?"], "temperature": 1},
        "expect": {"path": "inference_results.0.output.0.data", "type": "array", "dimension": 1536},
    }
    assert content["trusted_endpoints"] == [r"^https://api\.example\.com/.*$"]
    assert sum("trusted_endpoints" in note for note in imported.notes) == 1
    assert parsed(imported)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            {"dataAsMap": {"id": "a-long-id-of-the-answer-itself", "choices": [{"message": {"content": "Hi"}}]}},
            ("dataAsMap.choices.0.message.content", "string"),
        ),
        ({"dataAsMap": {"completion": "Yes.", "stop_reason": "stop_sequence"}}, ("dataAsMap.completion", "string")),
        ({"dataAsMap": {"embeddings": [[0.1, 0.2]], "n": 1}}, ("dataAsMap.embeddings.0", "array")),
        ({"dataAsMap": {"score": 0.5, "a.b": "no path leads here"}}, ("dataAsMap.score", "number")),
        ({"result": "plain"}, ("result", "string")),
    ],
)
def test_the_answer_tells_what_to_expect(output: dict[str, Any], expected: tuple[str, str]) -> None:
    answer = {"inference_results": [{"output": [output]}]}
    text = f"{CREATE}\n{DUMPED}\nPOST /_plugins/_ml/models/x/_predict\n" + '{"parameters": {"input": []}}\n'
    path, kind = expected
    content = loader.parse(only(text + json.dumps(answer)).yaml_text).content
    assert content["smoke_test"]["expect"] == {"path": f"inference_results.0.output.0.{path}", "type": kind}


def test_without_an_answer_a_note_asks_for_one() -> None:
    text = f'{CREATE}\n{DUMPED}\nPOST /_plugins/_ml/models/x/_predict\n{{"parameters": {{"input": "a"}}}}'
    assert loader.parse(only(text).yaml_text).content["smoke_test"]["expect"]["path"].endswith("output.0.data")
    plain = text.replace('"connector.post_process.openai.embedding"', '"connector.post_process.mlcommons.passthrough"')
    assert any("smoke_test.expect asks only for an answer" in note for note in only(plain).notes)
    assert any("smoke_test is missing" in note for note in only(DUMPED).notes)


def test_an_inline_connector_is_registered_with_its_own_model() -> None:
    register = {"name": "a model", "function_name": "remote", "description": "d", "connector": BODY}
    imported = only(f"POST /_plugins/_ml/models/_register\n{json.dumps(register, indent=2)}")
    blueprint = parsed(imported)
    assert blueprint.inline
    assert (blueprint.model.name, blueprint.model.description) == ("a model", "d")
    assert created(blueprint) == canonical_body(BODY)
    assert parsed(only(json.dumps(register))).inline


def test_several_on_a_page_get_names_of_their_own_and_what_belongs_to_each() -> None:
    role = {**seeds.BEDROCK, "credential": {"roleArn": "<YOUR ROLE>"}}
    keys = _with_placeholders(seeds.BEDROCK)
    predict = 'POST /_plugins/_ml/models/x/_predict\n{"parameters": {"inputText": "a"}}'
    other = 'POST /_plugins/_ml/models/y/_predict\n{"parameters": {"input": ["b"]}}'
    page = "\n".join(
        f"{CREATE}\n{json.dumps(body)}\n{rest}"
        for body, rest in ((keys, ""), (role, predict), (BODY, other), (BODY, ""))
    )
    made = {one.name: loader.parse(one.yaml_text).content for one in import_text(page)}
    assert list(made) == ["amazon_bedrock_embedding", "amazon_bedrock_embedding_role", "example_embedding"]
    tests = [content["smoke_test"]["parameters"] for content in made.values()]
    assert tests == [{"inputText": "a"}, {"inputText": "a"}, {"input": ["b"]}]
    assert [one.name for one in import_text(page, name="mine")] == ["mine", "mine_role", "mine_2"]


def test_what_get_answers_is_not_imported_beside_what_was_sent() -> None:
    answer = {**BODY, "owner": {"name": "admin"}, "created_time": 1, "access": "private", "name": "another"}
    text = f"{CREATE}\n{DUMPED}\n\nGET /_plugins/_ml/connectors/abc\n\n{json.dumps(answer)}"
    assert only(text).name == "example_embedding"
    alone = only(f"GET /_plugins/_ml/connectors/abc\n{json.dumps(answer)}")
    assert loader.parse(alone.yaml_text).content["connector"]["access_mode"] == "private"
    assert "owner" not in alone.yaml_text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (changed(credential=None, credentials={"api_key": "..."}), "connector.credentials is written credential"),
        (changed(parameters=None, parameter={"model": "small"}), "connector.parameter is written parameters"),
        (changed(actions=None, action=BODY["actions"]), "connector.action is written actions"),
        (changed(tags=["a"]), "connector.tags is left out"),
        (with_action(retries=3), "connector.actions.0.retries is left out"),
        (changed(client_config={"timeout": 3}), "connector.client_config.timeout is left out"),
        (with_action(request_body={"input": "${parameters.input}"}), "request_body is written as the text that it is"),
        (changed(actions=BODY["actions"][0]), "connector.actions is written as a list"),
        (
            with_action(url="https://${parameters. model}.example.com/x"),
            "${parameters.model}: the server fills no other",
        ),
    ],
)
def test_what_stands_in_a_wrong_place_is_told(body: dict[str, Any], said: str) -> None:
    imported = only(f"{CREATE}\n{json.dumps(body)}")
    assert any(said in note for note in imported.notes), imported.notes
    assert parsed(imported)


def test_a_finding_that_stays_is_a_note() -> None:
    imported = only(json.dumps(changed(protocol="aws_sigv4", credential={"access_key": "...", "secret_key": "..."})))
    assert any(note.startswith("To be mended: connector.parameters.region: is missing") for note in imported.notes)


@pytest.mark.parametrize(
    ("url", "parameters", "made"),
    [
        ("https://${parameters.endpoint}/v1", {"endpoint": "api.example.com"}, "https://api.example.com/v1"),
        ("https://${parameters.endpoint}/v1", {"endpoint": "api.example.com/"}, "https://api.example.com/v1"),
        ("${parameters.endpoint}/v1", {"endpoint": "https://api.example.com"}, "https://api.example.com/v1"),
        ("https://${parameters.endpoint}/v1", {"endpoint": "https://api.example.com"}, "https://api.example.com/v1"),
        ("https://${parameters.a}.com/${parameters.b}", {"a": "x.${parameters.c}", "c": "y", "b": 1},
         "https://x.y.com/${parameters.b}"),
        ("https://${parameters.endpoint}/v1", {"endpoint": "<YOUR RESOURCE NAME>.example.com"},
         "https://${variables.resource_name}.example.com/v1"),
        ("https://your-resource.example.com/v1", {}, "https://${variables.resource}.example.com/v1"),
        ("https://${parameters.endpoint}/v1", {}, "https://${variables.endpoint}/v1"),
        ("https://api.example.com/{deployment}/v1", {}, "https://api.example.com/${variables.deployment}/v1"),
        ("https://api.example.com/{{deployment}}/v1", {}, "https://api.example.com/${variables.deployment}/v1"),
        ("https://api.example.com/${parameters.model}", {"model": "m"}, "https://api.example.com/${parameters.model}"),
    ],
)  # fmt: skip
def test_the_host_is_literal_and_the_path_is_as_documented(
    url: str, parameters: dict[str, str | int], made: str
) -> None:
    body = {**with_action(url=url), "parameters": parameters}
    assert document(body)["connector"]["actions"][0]["url"] == made


@pytest.mark.parametrize(
    "text",
    [
        *("<bos>Query: ${parameters.x}", "Compare List<String> and a < b > c", "Your answer: ", "</s>"),
        *("You are a helpful assistant", "{{hits}} for '{{query}}' are found"),
    ],
)
def test_what_only_looks_like_a_placeholder_stays(text: str) -> None:
    imported = only(json.dumps(changed(parameters={"model": "m", "prompt": text})))
    assert parsed(imported).connector.parameters["prompt"] == text


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("<YOUR MODEL>", "${variables.model}"),
        ("your_model_id", "${variables.model}"),
        ("YOUR_MODEL", "${variables.model}"),
        ("{{model}}", "${variables.model}"),
        ("...", "${variables.model}"),
        ("emb://<folder_ID>/text/latest", "emb://${variables.folder_id}/text/latest"),
        ("<START|END|NONE>", "START"),
    ],
)
def test_a_placeholder_becomes_a_variable(written: str, made: str) -> None:
    assert document(changed(parameters={"model": written}))["connector"]["parameters"]["model"] == made


def test_quotes_that_were_not_escaped_are_read_to_the_end_of_the_line() -> None:
    broken = f"{CREATE}\n{DUMPED}".replace(
        json.dumps(BODY["actions"][0]["request_body"]), '"{"in":"${parameters.input}"}"'
    )
    imported = only(broken)
    assert parsed(imported).connector.actions[0].request_body == '{"in":"${parameters.input}"}'
    assert any("not escaped" in note for note in imported.notes)


def test_mcp_connectors_have_no_model_and_no_smoke_test() -> None:
    body = {
        "name": "An MCP server",
        "version": 1,
        "protocol": "mcp_sse",
        "url": "https://mcp.example.com",
        "credential": {"key": "THE_KEY"},
        "parameters": {"sse_endpoint": "/sse"},
        "headers": {"Authorization": "Bearer ${credential.key}"},
    }
    imported = only(f"{CREATE}\n{json.dumps(body)}\nPOST /_plugins/_ml/models/_register\n" + '{"name": "chat"}')
    content = loader.parse(imported.yaml_text).content
    assert list(content) == ["connector"]
    assert created(parsed(imported)) == canonical_body(body)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("", "no body of POST"),
        ("# A page without any", "no body of POST"),
        ("[1, 2, 3]", "no body of POST"),
        ('{"name": "x"}', "no body of POST"),
        (f'{CREATE}\n{{"name": "x", "protocol": "http", "actions": [', "line 2 cannot be read: expected its end"),
        (f'{CREATE}\n{{\n"name" "x"}}', "in line 3"),
        (f'{CREATE}\n{{ ...\n"actions": [{{...\n"request_body": "x"}}]}}', "only a part"),
        (f'{CREATE}\n{{"foo": 1}}', "no whole connector"),
    ],
)
def test_a_page_without_a_connector_says_what_is_missing(text: str, evidence: str) -> None:
    with pytest.raises(NothingToImport) as caught:
        import_text(text)
    assert evidence in caught.value.evidence


def test_what_cannot_be_read_is_told_beside_what_can() -> None:
    text = f'{CREATE}\n{DUMPED}\n\n{CREATE}\n{{"name": "x", "actions": [[[\n'
    assert any("cannot be read" in note for note in only(text).notes)
