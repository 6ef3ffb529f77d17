"""Links: the object's own address in the cluster's API, and nothing that lets anybody in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.links import OpenSearchConnectorLink, OpenSearchModelLink
from tests.support.cluster import connections
from tests.support.doubles import as_context

PASSWORD = "canary-Lq3-Ze8-Bt4"


class TaskThatKeeps:
    """Stands for a task instance: what is pushed to it stays in it."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def xcom_push(self, key: str, value: str) -> None:
        self.kept[key] = value


@pytest.mark.parametrize(
    ("change", "address"),
    [
        ({}, "https://search.example.com:443"),
        ({"port": 9200}, "https://search.example.com:9200"),
        ({"host": "http://search.example.com:9200"}, "http://search.example.com:9200"),
    ],
    ids=["plain", "port", "url"],
)
def test_a_link_is_where_the_object_is_and_holds_no_login(change: dict[str, Any], address: str) -> None:
    connection = {"conn_type": "opensearch", "host": "search.example.com", "login": "admin", "password": PASSWORD}
    task = TaskThatKeeps()
    with connections(opensearch_default=json.dumps(connection | change)):
        base_url = OpenSearchMLHook().base_url
    OpenSearchConnectorLink.persist(as_context({"ti": task}), base_url, "abc")
    OpenSearchModelLink.persist(as_context({"ti": task}), base_url, "def")
    assert sorted(task.kept.values()) == [
        f"{address}/_plugins/_ml/connectors/abc",
        f"{address}/_plugins/_ml/models/def",
    ]
    assert PASSWORD not in str(task.kept)
    assert "admin" not in str(task.kept)
