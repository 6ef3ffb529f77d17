"""What real servers store of a connector, and that every change by hand is seen, whatever the version."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks import versions
from opensearch_ml.client.documents import ConnectorDoc
from opensearch_ml.resources import canonical
from tests.support.cluster import Cluster

ML = "/_plugins/_ml"
ACCESS_CONTROL = "plugins.ml_commons.connector_access_control_enabled"
URL = "https://api.openai.com/v1/embeddings"
SECRET = "not-a-real-key"

Document = dict[str, Any]


def action(**fields: Any) -> Document:
    return {"action_type": "predict", "method": "POST", "url": URL, "request_body": "{}", **fields}


def connector(**fields: Any) -> Document:
    base = {"name": "n", "protocol": "http", "credential": {"key": {"conn_id": "a"}}, "actions": [action()]}
    return {**base, **fields}


EVERY_CLIENT_SETTING = {
    "max_connection": 5,
    "connection_timeout": 6,
    "read_timeout": 7,
    "retry_backoff_millis": 8,
    "retry_timeout_seconds": 9,
    "max_retry_times": -1,
    "retry_backoff_policy": "exponential_full_jitter",
}
FULL = connector(
    description="One of each",
    version=2,
    parameters={"model": "m", "n": 3},
    client_config=EVERY_CLIENT_SETTING,
    actions=[
        action(
            headers={"Authorization": "Bearer ${credential.key}", "X-A": "a"},
            request_body='{"input": ${parameters.input}, "model": "${parameters.model}"}',
            pre_process_function="connector.pre_process.openai.embedding",
            post_process_function="connector.post_process.openai.embedding",
        )
    ],
)
SHAPES = {
    "least": connector(),
    "version a number": connector(version=3),
    "version with a fraction": connector(version=1.50),
    "version a text": connector(version="2.0-beta"),
    "no description": connector(description=None),
    "empty description": connector(description=""),
    "any letters": connector(name="日本 ünï", description='кириллица, "quoted" and it\'s\ntwo lines'),
    "no parameters": connector(parameters={}),
    "parameters of every type": connector(
        parameters={
            "int": 3,
            "float": 1.5,
            "whole": 1.0,
            "huge": 1e30,
            "tiny": 1e-7,
            "big": 12345678901234567890,
            "null": None,
            "true": True,
            "digits": "3",
            "empty": "",
            "list": [],
            "object": {"a": [1, {"b": None}], "ü": "<é> & 'x' = \u2028 \U0001f600"},
            "name with ünïcode and spaces": "x",
        }
    ),
    "client config empty": connector(client_config={}),
    "client config in part": connector(client_config={"connection_timeout": 5, "read_timeout": 7}),
    "client config whole": connector(client_config=EVERY_CLIENT_SETTING),
    "client config switch": connector(client_config={"skip_ssl_verification": True}),
    "static AWS keys": connector(
        protocol="aws_sigv4",
        credential={name: {"conn_id": "a"} for name in ("access_key", "secret_key", "session_token")},
        parameters={"region": "us-east-1", "service_name": "bedrock"},
    ),
    "headers of every type": connector(
        actions=[action(headers={"a": 1, "b": True, "c": 1.5, "D": "Bearer ${credential.key}", "e": ""})]
    ),
    "empty headers and functions": connector(actions=[action(headers={}, pre_process_function="")]),
    "method in lower case": connector(actions=[action(method="post")]),
    "every action type": connector(
        actions=[
            action(action_type="Predict"),
            action(action_type="execute"),
            action(action_type="BATCH_PREDICT"),
            action(action_type="batch_predict_status", method="get"),
            action(action_type="cancel_batch_predict", method="DELETE"),
        ]
    ),
    "named actions": connector(actions=[action(), action(name="second")]),
    "functions": FULL,
    "scripts and bodies of many lines": connector(
        actions=[
            action(
                request_body='{\n  "a": "${parameters.a}",\n\t"b": ${parameters.b:-null}\n}\n',
                pre_process_function="\n  def price = '$' + params.x;\r\n  return \"{\\\"a\\\": \" + price + '}';\n",
            )
        ]
    ),
    "as long as it may be": connector(description="x" * 50_000, parameters={"p": "ü" * 16_000}),
    "tools by MCP": connector(
        protocol="mcp_streamable_http",
        url="https://api.openai.com/mcp",
        headers={"Authorization": "Bearer ${credential.key}", "X-Number": 7},
        actions=[],
    ),
    "tools by MCP without a credential": connector(
        protocol="mcp_streamable_http", url="https://api.openai.com/mcp", actions=[], credential={}
    ),
}


def blueprint_of(written: Document) -> Blueprint:
    # Unchecked: some shapes make no sense together, and the server stores them all the same.
    return Blueprint.model_validate({"name": "probe", "connector": copy.deepcopy(written)})


def version_of(cluster: Cluster) -> tuple[int, ...]:
    return tuple(int(part) for part in cluster.version.split("."))


Differences = Callable[..., tuple[str, ...]]


@pytest.fixture
def drift(cluster: Cluster) -> Differences:
    """Creates a connector, changes it by hand through PUT, and tells what differs."""

    def differing(written: Document, put: Document | None = None) -> tuple[str, ...]:
        blueprint = blueprint_of(written)
        credential = dict.fromkeys(blueprint.connector.references, SECRET)
        made = cluster.request("POST", f"{ML}/connectors/_create", json=canonical.connector_body(blueprint, credential))
        assert made.ok, made.text
        path = f"{ML}/connectors/{made.json()['connector_id']}"
        if put is not None:
            changed = cluster.request("PUT", path, json=put)
            assert changed.ok, changed.text
        return canonical.differences(blueprint, credential, cluster.get(path), version_of(cluster))

    return differing


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_differs_right_after_creation(cluster: Cluster, drift: Differences, shape: str) -> None:
    if found := versions.findings(blueprint_of(SHAPES[shape]), version_of(cluster)):
        pytest.skip(str(found[0]))
    assert drift(SHAPES[shape]) == ()


@pytest.mark.parametrize("shape", ["client config switch", "named actions"])
def test_what_an_old_server_drops_is_what_its_version_is_told_not_to_know(
    cluster: Cluster, drift: Differences, shape: str
) -> None:
    told = versions.findings(blueprint_of(SHAPES[shape]), version_of(cluster))
    assert drift(SHAPES[shape]) == tuple(finding.path.removeprefix("connector.") for finding in told)


def changed_action(**fields: Any) -> Document:
    return {"actions": [{**FULL["actions"][0], **fields}]}


@pytest.mark.parametrize(
    ("put", "path"),
    [
        ({"name": "m"}, "name"),
        ({"description": "another"}, "description"),
        ({"version": "3"}, "version"),
        ({"parameters": {"model": "other"}}, "parameters.model"),
        ({"parameters": {"n": 4}}, "parameters.n"),
        ({"parameters": {"added": "x"}}, "parameters.added"),
        ({"parameters": {canonical.LABEL_OWNER: "somebody"}}, f"parameters.{canonical.LABEL_OWNER}"),
        ({"parameters": {canonical.LABEL_BLUEPRINT: "other"}}, f"parameters.{canonical.LABEL_BLUEPRINT}"),
        ({"parameters": {canonical.LABEL_CREDENTIAL: "scrypt-v1:é"}}, "credential"),
        *[
            ({"client_config": {**EVERY_CLIENT_SETTING, name: value}}, f"client_config.{name}")
            for name, value in {**dict.fromkeys(EVERY_CLIENT_SETTING, 1), "retry_backoff_policy": "constant"}.items()
        ],
        (changed_action(action_type="execute"), "actions.0.action_type"),
        (changed_action(method="GET"), "actions.0.method"),
        (changed_action(url=f"{URL}/other"), "actions.0.url"),
        (changed_action(headers={"Authorization": "Bearer ${credential.key}"}), "actions.0.headers.X-A"),
        (
            changed_action(headers={"Authorization": "Bearer x", "X-A": "a"}),
            "actions.0.headers.Authorization",
        ),
        (changed_action(headers={**FULL["actions"][0]["headers"], "X-B": "b"}), "actions.0.headers.X-B"),
        (changed_action(request_body='{"input": ${parameters.input}}'), "actions.0.request_body"),
        (changed_action(pre_process_function="return params.x;"), "actions.0.pre_process_function"),
        (changed_action(post_process_function="return params.x;"), "actions.0.post_process_function"),
        ({"actions": [*FULL["actions"], action(action_type="execute")]}, "actions"),
        ({"actions": []}, "actions"),
    ],
)
def test_every_field_changed_by_hand_is_seen(drift: Differences, put: Document, path: str) -> None:
    assert drift(FULL, put) == (path,)


def test_a_protocol_changed_by_hand_is_seen(drift: Differences) -> None:
    assert drift(SHAPES["static AWS keys"], {"protocol": "http"}) == ("protocol",)


def searched(cluster: Cluster) -> ConnectorDoc:
    """The first connector, as a search returns it."""
    return cast(ConnectorDoc, cluster.search("connectors")[0])


def test_a_protocol_that_makes_the_server_refuse_its_own_connector_is_seen_by_a_search(cluster: Cluster) -> None:
    blueprint = blueprint_of(connector())
    body = canonical.connector_body(blueprint, {"key": SECRET})
    created = cluster.request("POST", f"{ML}/connectors/_create", json=body).json()["connector_id"]
    assert cluster.request("PUT", f"{ML}/connectors/{created}", json={"protocol": "aws_sigv4"}).ok
    assert cluster.request("GET", f"{ML}/connectors/{created}").status_code == 400
    until = time.monotonic() + 10
    while (found := searched(cluster))["protocol"] == "http" and time.monotonic() < until:
        time.sleep(0.1)  # 2.19 refreshes its index a second after an update
    assert canonical.differences(blueprint, {"key": SECRET}, found, version_of(cluster)) == ("protocol",)


@pytest.mark.parametrize("put", [{}, {"foo": "bar"}, {"parameters": {"n": 3}}, {"actions": FULL["actions"]}])
def test_a_write_that_changes_nothing_is_no_difference(drift: Differences, put: Document) -> None:
    assert drift(FULL, put) == ()


def test_a_header_of_an_action_that_had_none_is_seen(drift: Differences) -> None:
    assert drift(connector(), {"actions": [action(headers={"X": "y"})]}) == ("actions.0.headers",)


def test_newer_fields_changed_by_hand_are_seen(cluster36: Cluster) -> None:
    blueprint = blueprint_of(connector())
    body = canonical.connector_body(blueprint, {"key": SECRET})
    created = cluster36.request("POST", f"{ML}/connectors/_create", json=body).json()["connector_id"]
    put = {"actions": [action(name="other")], "client_config": {"skip_ssl_verification": True}}
    assert cluster36.request("PUT", f"{ML}/connectors/{created}", json=put).ok
    found = cluster36.get(f"{ML}/connectors/{created}")
    assert canonical.differences(blueprint, {"key": SECRET}, found, version_of(cluster36)) == (
        "actions.0.name",
        "client_config.skip_ssl_verification",
    )


def test_a_credential_changed_by_hand_is_not_seen_because_no_server_shows_one(drift: Differences) -> None:
    assert drift(FULL, {"credential": {"key": "another"}}) == ()


# ---- who may use it


@pytest.fixture
def access_control(cluster: Cluster) -> None:
    cluster.request("PUT", "/_cluster/settings", json={"persistent": {ACCESS_CONTROL: True}}).raise_for_status()


@pytest.mark.parametrize(
    "access",
    [
        {},
        {"access_mode": "public"},
        {"access_mode": "private"},
        {"access_mode": "private", "backend_roles": []},
        {"access_mode": "restricted", "backend_roles": ["search", "admin"]},
        {"backend_roles": ["search"]},
    ],
)
@pytest.mark.usefixtures("access_control")
def test_with_access_control_nothing_differs_right_after_creation(drift: Differences, access: Document) -> None:
    assert drift(connector(**access)) == ()


@pytest.mark.parametrize(
    ("access", "put", "paths"),
    [
        ({}, {"access_mode": "public"}, ("access_mode",)),
        ({}, {"access_mode": "restricted", "backend_roles": ["x"]}, ("access_mode", "backend_roles")),
        ({"access_mode": "public"}, {"access_mode": "private"}, ("access_mode",)),
        ({"backend_roles": ["a"]}, {"access_mode": "restricted", "backend_roles": ["a", "b"]}, ("backend_roles",)),
    ],
)
@pytest.mark.usefixtures("access_control")
def test_access_changed_by_hand_is_seen(
    drift: Differences, access: Document, put: Document, paths: tuple[str, ...]
) -> None:
    assert drift(connector(**access), put) == paths


# ---- inside a model


def test_nothing_differs_in_an_internal_connector_right_after_registration(cluster: Cluster) -> None:
    blueprint = blueprint_of(FULL)
    body = canonical.connector_body(blueprint, {"key": SECRET})
    group = cluster.request("POST", f"{ML}/model_groups/_register", json={"name": "g"}).json()["model_group_id"]
    registered = cluster.request(
        "POST",
        f"{ML}/models/_register",
        json={"name": "m", "function_name": "remote", "model_group_id": group, "connector": body},
    ).json()
    found = cluster.get(f"{ML}/models/{registered['model_id']}")["connector"]
    assert canonical.differences(blueprint, {"key": SECRET}, found, version_of(cluster)) == ()
