"""What a person is told who asks whether a connection works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opensearch_ml.hook import OpenSearchMLHook
from tests.support.cluster import Cluster, connections


def test_a_connection_that_works_tells_both_versions(connected: Cluster) -> None:
    works, told = OpenSearchMLHook().test_connection()
    assert works
    assert told == f"OpenSearch {connected.version}, ML Commons {connected.version}.0"


@pytest.mark.parametrize(
    ("change", "cause", "fix"),
    [
        ({"password": "wrong-canary-8Ku"}, "does not accept the connection's", "correct login and password"),
        ({"port": 9}, "the cluster cannot be reached", "check host and port"),
        ({"host": "no-such-host.invalid"}, "the cluster cannot be reached", "check host and port"),
        ({"extra": {}}, "certificate is not trusted", "ca_certs"),
        ({"host": ""}, "names no host", "set the host"),
        ({"extra": {"verify_certs": "perhaps"}}, "neither true nor false", "is the default"),
    ],
    ids=["password", "port", "host", "certificate", "no host", "typing error"],
)
def test_a_connection_that_does_not_work_tells_why_and_what_to_do(
    connected: Cluster, change: dict[str, Any], cause: str, fix: str
) -> None:
    broken = json.dumps(json.loads(connected.connection()) | change)
    with connections(broken=broken):
        works, told = OpenSearchMLHook("broken").test_connection()
    assert not works
    assert cause in told
    assert fix in told.partition("fix: ")[2]
    assert "canary" not in told


def test_a_connection_that_is_not_there_is_told() -> None:
    works, told = OpenSearchMLHook("nobody").test_connection()
    assert not works
    assert "there is no connection nobody" in told
