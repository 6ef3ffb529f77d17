"""The real OpenSearch that tests use, its Airflow connection and its target."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from local.model_endpoints.process import ModelEndpoints
from local.opensearch import OpenSearchCluster

REDEPLOYED_S = 25.0
OPENAI_KEY = "sk-canary-Q7f3nLw0Zk8-only-in-tests"


@dataclass
class Cluster:
    """A real, secured OpenSearch for tests, and what the tests want to know of it."""

    opensearch: OpenSearchCluster
    version: str
    users: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.opensearch.url

    @property
    def ca_path(self) -> Path:
        return self.opensearch.ca_path

    @property
    def admin_password(self) -> str:
        return self.opensearch.admin_password

    def request(self, method: str, path: str, json: Any = None, user: str = "admin") -> requests.Response:
        """Send a request beside the product's own code; errors are the caller's to look at."""
        with requests.Session() as session:
            session.trust_env = False  # REQUESTS_CA_BUNDLE would win over our CA
            session.verify = str(self.ca_path)
            session.auth = (user, self.users.get(user, self.admin_password))
            return session.request(method, self.url + path, json=json, timeout=60)

    def get(self, path: str) -> Any:
        """GET, and the answer's JSON."""
        answer = self.request("GET", path)
        answer.raise_for_status()
        return answer.json()

    def search(self, kind: str, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """All connectors, models, model_groups or tasks that fit."""
        body = {"query": query or {"match_all": {}}, "size": 10_000}
        answer = self.request("POST", f"/_plugins/_ml/{kind}/_search", json=body)
        answer.raise_for_status()
        return [{**hit["_source"], "id": hit["_id"]} for hit in answer.json()["hits"]["hits"]]

    def connection(self, *, login: str = "admin", password: str | None = None, **extra: Any) -> str:
        """An Airflow connection to this cluster, as JSON for AIRFLOW_CONN_…"""
        return json.dumps(
            {
                "conn_type": "opensearch",
                "host": "127.0.0.1",
                "port": int(self.url.rpartition(":")[2]),
                "login": login,
                "password": password or self.users.get(login, self.admin_password),
                "extra": {"ca_certs": str(self.ca_path), **extra},
            }
        )

    def writes(self) -> dict[str, Any]:
        """What changes when anything is written: counted by the server, not by us.

        Index operations of every ML and Security index, and the settings. A deploy task is written once more a moment
        after its model is deployed, so this waits until no task is under way and nothing moves.
        """
        under_way = {"terms": {"state": ["CREATED", "RUNNING"]}}
        last: dict[str, Any] = {}
        until = time.monotonic() + 15
        while (now := self._writes()) != last or (self.search("tasks", under_way) and time.monotonic() < until):
            last = now
            time.sleep(0.5)
        return now

    def wait_out_the_redeployment(self) -> None:
        """A node deploys every model once more of its own accord, 17 to 20 seconds after it started."""
        nodes = self.get("/_nodes/stats/jvm")["nodes"].values()
        uptime_s = min(node["jvm"]["uptime_in_millis"] for node in nodes) / 1000
        time.sleep(max(0.0, REDEPLOYED_S - uptime_s))

    def _writes(self) -> dict[str, Any]:
        stats = self.get("/.plugins-ml-*,.opendistro_security/_stats/indexing?expand_wildcards=all")["indices"]
        counts = {
            name: (shard["indexing"]["index_total"], shard["indexing"]["delete_total"])
            for name, index in stats.items()
            if name != ".plugins-ml-config"
            for shard in [index["primaries"]]
        }
        settings = self.get("/_cluster/settings?flat_settings=true")
        return {**counts, "settings": settings}

    def clean(self) -> None:
        """Delete every ML object, mapping and setting that a test may have left."""
        for model in self.search("models"):
            self.request("POST", f"/_plugins/_ml/models/{model['id']}/_undeploy")
            self.request("DELETE", f"/_plugins/_ml/models/{model['id']}")
        for kind in ("connectors", "model_groups"):
            for found in self.search(kind):
                self.request("DELETE", f"/_plugins/_ml/{kind}/{found['id']}")
        self.request("DELETE", "/_plugins/_security/api/rolesmapping/ml_full_access")
        settings = self.get("/_cluster/settings?flat_settings=true")
        body = {scope: dict.fromkeys(settings[scope]) for scope in ("persistent", "transient") if settings[scope]}
        if body:
            self.request("PUT", "/_cluster/settings", json=body)

    def add_user(self, name: str, password: str, backend_roles: list[str]) -> None:
        """Create an internal user."""
        body = {"password": password, "backend_roles": backend_roles}
        self.request("PUT", f"/_plugins/_security/api/internalusers/{name}", json=body).raise_for_status()
        self.users[name] = password

    def restrict_role(self, role: str, permissions: list[str], users: list[str]) -> None:
        """Create a role with these cluster permissions only, for these users."""
        base = "/_plugins/_security/api"
        self.request("PUT", f"{base}/roles/{role}", json={"cluster_permissions": permissions}).raise_for_status()
        self.request("PUT", f"{base}/rolesmapping/{role}", json={"users": users}).raise_for_status()


@contextmanager
def connections(**values: str) -> Iterator[None]:
    """Set Airflow connections for a while: ``connections(opensearch_default=…)``."""
    named = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in values.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        yield


def write_target(home: Path, endpoints: ModelEndpoints, **more: Any) -> None:
    """Write the one target that all tests use: the model endpoints stand for every platform."""
    target = {
        "opensearch_conn_id": "opensearch_default",
        "variables": {"openai_url": endpoints.url, "dimension": 384},
        "settings": {"private_ip_enabled": True},
        **more,
    }
    (home / "targets" / "tests.yaml").write_text(yaml.safe_dump(target))
