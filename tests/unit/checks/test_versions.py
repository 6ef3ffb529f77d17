from __future__ import annotations

from typing import Any

import pytest

from opensearch_ml.checks import versions
from tests.support.examples import action, parsed

MCP = {"url": "https://a.com/x", "actions": [], "credential": {}}


def told(version: tuple[int, ...], connector: dict[str, Any] | None = None, **parts: Any) -> list[str]:
    return [finding.path for finding in versions.findings(parsed(connector, **parts), version)]


@pytest.mark.parametrize(
    ("connector", "parts", "path", "since"),
    [
        ({"protocol": "mcp_sse", **MCP}, {}, "connector.protocol", (3, 0)),
        ({"protocol": "mcp_streamable_http", **MCP}, {}, "connector.protocol", (3, 3)),
        ({"actions": [action(), action(action_type="execute")]}, {}, "connector.actions.1.action_type", (2, 15)),
        ({"actions": [action(), action(action_type="batch_predict")]}, {}, "connector.actions.1.action_type", (2, 16)),
        (
            {"actions": [action(), action(action_type="batch_predict_status"), action(action_type="batch_predict")]},
            {},
            "connector.actions.1.action_type",
            (2, 17),
        ),
        ({"actions": [action(name="a")]}, {}, "connector.actions.0.name", (3, 5)),
        ({"client_config": {"read_timeout": 5000}}, {}, "connector.client_config.read_timeout", (2, 13)),
        ({"client_config": {"max_retry_times": 0}}, {}, "connector.client_config.max_retry_times", (2, 15)),
        (
            {"client_config": {"skip_ssl_verification": False}},
            {},
            "connector.client_config.skip_ssl_verification",
            (3, 5),
        ),
        (
            {"parameters": {"x": 1}, "actions": [action(headers={"X": "${parameters.x}"})]},
            {},
            "connector.actions.0.headers.X",
            (2, 15),
        ),
        ({"actions": [action(headers={"X": "${parameters.x}"})]}, {}, "connector.actions.0.headers.X", (3, 7)),
        ({}, {"model": {"is_enabled": True}}, "model.is_enabled", (2, 12)),
        ({}, {"model": {"rate_limiter": {"limit": 1, "unit": "DAYS"}}}, "model.rate_limiter", (2, 12)),
        ({}, {"model": {"guardrails": {}}}, "model.guardrails", (2, 13)),
        ({}, {"model": {"interface": {}}}, "model.interface", (2, 14)),
    ],
)
def test_a_field_is_told_to_older_servers_only(
    connector: dict[str, Any], parts: dict[str, Any], path: str, since: tuple[int, int]
) -> None:
    major, minor = since
    before = (major, minor - 1, 9) if minor else (major - 1, 99)
    assert told(before, connector, **parts) == [path]
    assert told((major, minor, 0), connector, **parts) == []


def test_the_finding_says_both_versions() -> None:
    (finding,) = versions.findings(parsed({"actions": [action(name="a")]}), (2, 19, 1))
    assert finding.problem == "needs OpenSearch 3.5, and the cluster runs 2.19.1"


def test_what_every_server_knows_is_no_finding() -> None:
    assert told((2, 11, 0)) == []


def test_the_newest_known_version_is_none_older_than_what_is_known_of() -> None:
    tables = [versions.PROTOCOLS, versions.ACTION_TYPES, versions.CONNECTOR_FIELDS, versions.ACTION_FIELDS]
    tables += [versions.CLIENT_CONFIG, versions.MODEL_FIELDS, *versions.FUNCTIONS.values()]
    assert max(since for table in tables for since in table.values())[:2] <= versions.NEWEST
