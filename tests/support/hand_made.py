"""Connectors and models as somebody makes them by hand, and how they are imported and planned."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from opensearch_ml import cli
from opensearch_ml.resources.changes import Kind
from tests.support.catalog_blueprints import LASTING
from tests.support.cluster import connections
from tests.support.fleet_world import World

KEY = "sk-canary-Gh7vKp2Rw9-only-in-tests"
PREDICT = {"action_type": "predict", "method": "POST", "headers": {"Authorization": "Bearer ${credential.api_key}"}}
MAKES_A_TEXT = """
    StringBuilder builder = new StringBuilder("\\"");
    builder.append(params.text_docs[0]);
    builder.append("\\"");
    return "{\\"parameters\\": {\\"input\\": " + builder + "}}";
"""
MAKES_A_VECTOR = """
    def vector = params.data[0].embedding;
    return "{\\"name\\":\\"sentence_embedding\\",\\"data_type\\":\\"FLOAT32\\",\\"shape\\":[" + vector.size()
        + "],\\"data\\":" + vector + "}";
"""
SIGNED = {"access_key": LASTING.access_key_id, "secret_key": LASTING.secret_access_key}


def bodies_at(url: str) -> dict[str, dict[str, Any]]:
    """By the name of its model, the body of a connector as somebody writes it by hand."""

    def http(path: str, body: str, **more: Any) -> dict[str, Any]:
        action = {**PREDICT, "url": f"{url}{path}", "request_body": body, **more.pop("functions", {})}
        return {
            "name": "By hand",
            "version": 1,
            "protocol": "http",
            "credential": {"api_key": KEY},
            "actions": [action],
            **more,
        }

    def signed(service: str, path: str, body: str, **functions: str) -> dict[str, Any]:
        return http(path, body, functions={"headers": {"Content-Type": "application/json"}, **functions}) | {
            "protocol": "aws_sigv4",
            "parameters": {"region": "eu-central-1", "service_name": service},
            "credential": SIGNED,
        }

    openai = {f"{when}_process_function": f"connector.{when}_process.openai.embedding" for when in ("pre", "post")}
    cohere = {f"{when}_process_function": f"connector.{when}_process.cohere.embedding" for when in ("pre", "post")}
    embeds = '{"input": ${parameters.input}, "model": "${parameters.model}"}'
    return {
        "Chat of the support team": http(
            "/v1/chat/completions",
            '{"model": "${parameters.model}", "messages": ${parameters.messages}, "temperature": ${parameters.heat}}',
            description="A chat, made by hand",
            parameters={"model": "gpt-4o-mini", "heat": 0.2, "stop": ["a", "b"], "seed": 7, "echo": False},
            client_config={"connection_timeout": 5, "read_timeout": 20, "max_connection": 50},
        ),
        "inside": http(
            "/v1/embeddings",
            embeds,
            parameters={"model": "text-embedding-3-small"},
            client_config={"connection_timeout": 3, "read_timeout": 3},
            functions=openai,
        ),
        "cohere": http(
            "/v1/embed",
            '{"texts": ${parameters.texts}, "truncate": "END", "model": "${parameters.model}", "input_type": "x"}',
            version="1.0",
            parameters={"model": "embed-english-v3.0"},
            functions=cohere,
        ),
        "scripted": http(
            "/v1/embeddings",
            embeds,
            parameters={"model": "text-embedding-3-small"},
            functions={"pre_process_function": MAKES_A_TEXT, "post_process_function": MAKES_A_VECTOR},
        ),
        "sagemaker": signed("sagemaker", "/endpoints/e/invocations", "${parameters.input}"),
        "bedrock": signed(
            "bedrock", "/model/amazon.titan-embed-text-v2:0/invoke", '{"inputText": "${parameters.inputText}"}'
        ),
    }


REGISTERED: dict[str, dict[str, Any]] = {
    "Chat of the support team": {
        "description": "Answers the support team",
        "is_enabled": False,
        "rate_limiter": {"limit": 4, "unit": "MINUTES"},
        "guardrails": {"type": "local_regex", "input_guardrail": {"regex": [".*no.*"]}},
        "interface": {"input": {"type": "object", "properties": {"parameters": {"type": "object"}}}},
        "deploy_setting": {"is_auto_deploy_enabled": False},
    },
}


def make(world: World, name: str, connector: dict[str, Any], **fields: Any) -> str:
    """Make a connector and a model by the documented calls; the id is the model's."""
    body = {"name": name, "function_name": "remote", **fields}
    if name.startswith("inside"):
        body["connector"] = connector
    else:
        body["connector_id"] = world.ml("POST", "connectors/_create", connector)["connector_id"]
    return str(world.ml("POST", "models/_register", body)["model_id"])


def imported(world: World, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], str]:
    """Import everything by the command line and write the target as it says.

    :return: the connections that are to be made, and what else is told.
    """
    (world.folder / "targets" / "t.yaml").write_text("{}")
    place = ["--target", "t", "--targets", str(world.folder / "targets"), "--to", str(world.folder / "blueprints")]
    code = cli.main(["import", "--from-cluster", *place])
    seen = capsys.readouterr()
    assert code == 0, seen.err
    [for_target] = [one for one in yaml.safe_load_all(seen.out.partition("---\n")[2]) if one]
    (world.folder / "targets" / "t.yaml").write_text(yaml.safe_dump(for_target))
    conn_ids = re.findall(r"^  (\w+), \w", seen.err, re.MULTILINE)
    aws = {"conn_type": "aws", "login": LASTING.access_key_id, "password": LASTING.secret_access_key}
    keys = {one: aws if one == "aws_default" else {"conn_type": "http", "password": KEY} for one in conn_ids}
    return {conn_id: json.dumps(told) for conn_id, told in keys.items()}, seen.err


def differing(world: World, told: dict[str, str]) -> dict[str, list[str]]:
    """What a plan would do, by blueprint: which fields it finds other than they are written."""
    with connections(**told):
        changes = world.plan().changes
    assert {change.kind for change in changes} <= {Kind.ADOPT}, changes
    return {change.what: [one.path for one in change.differences if one.path != "credential"] for change in changes}
