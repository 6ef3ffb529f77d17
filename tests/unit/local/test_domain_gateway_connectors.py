"""Which requests the domain gateway takes for those of a connector with a role."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from local.domain_gateway.connectors import connector_with_role
from local.domain_gateway.domain import Domain

ML = "/_plugins/_ml"
CONNECTOR: dict[str, Any] = {"name": "ä", "version": 1, "credential": {"roleArn": "arn"}}


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("POST", f"{ML}/connectors/_create", CONNECTOR),
        ("POST", f"{ML}/connectors/%5Fcreate/", CONNECTOR),
        ("PUT", f"{ML}/connectors/-a_B", {"credential": {"roleArn": "arn"}}),
        ("POST", f"{ML}/models/_register", {"name": "m", "connector": CONNECTOR}),
        ("PUT", f"{ML}/models/-a_B", {"connector": {"credential": {"roleArn": "arn"}}}),
    ],
)
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_role_is_found_and_replaced_wherever_a_connector_is_written(
    method: str, path: str, document: dict[str, Any], encoding: str
) -> None:
    body = json.dumps(document).encode()
    found = connector_with_role(method, path, encoding, gzip.compress(body) if encoding else body)
    assert found
    assert found.credential == {"roleArn": "arn"}
    changed = json.loads(found.body_with({"access_key": "A"}))
    assert json.dumps(changed) == json.dumps(document).replace('"roleArn": "arn"', '"access_key": "A"')


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ML}/connectors/_search", json.dumps(CONNECTOR)),
        ("POST", f"{ML}/models/a/_predict", json.dumps({"connector": CONNECTOR})),
        ("GET", f"{ML}/connectors/a", ""),
        ("POST", f"{ML}/connectors/_create", json.dumps({"credential": {"access_key": "A"}})),
        ("POST", f"{ML}/connectors/_create", json.dumps({"connector": CONNECTOR})),
        ("POST", f"{ML}/models/_register", json.dumps({"name": "m", "connector_id": "a"})),
        ("POST", f"{ML}/connectors/_create", "no JSON"),
        ("POST", f"{ML}/connectors/_create", "[]"),
        ("POST", f"{ML}/connectors/_create", json.dumps({"credential": ["roleArn"]})),
    ],
)
def test_every_other_request_is_left_alone(method: str, path: str, body: str) -> None:
    assert connector_with_role(method, path, "", body.encode()) is None


def test_a_body_that_only_says_it_is_compressed_is_left_to_the_server() -> None:
    assert connector_with_role("POST", f"{ML}/connectors/_create", "gzip", b"{}") is None


def test_a_domain_is_told_by_its_arn() -> None:
    arn = "arn:aws-cn:es:cn-north-1:123456789012:domain/search"
    assert Domain.parse(arn) == Domain("aws-cn", "cn-north-1", "123456789012", "search")
    assert str(Domain.parse(arn)) == arn
    with pytest.raises(ValueError, match="no domain's ARN"):
        Domain.parse("arn:aws:s3:::bucket")
