"""Three models provisioned for a target, and a way to see what a plan for it costs and says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.planning import plan_for
from opensearch_ml.resources.changes import Kind, Plan
from opensearch_ml.steps.cluster_settings import ensure_ml_settings
from opensearch_ml.steps.role_mapping import ensure_role_mapping
from tests.integration.conftest import provision
from tests.support.cluster import OPENAI_KEY, Cluster, connections

TARGET = {
    "blueprints": ["model_*", "inside"],
    "settings": {"private_ip_enabled": True, "only_run_on_ml_node": False},
    "role_mapping": {"ml_full_access": {"backend_roles": ["airflow"]}},
}
SEARCHABLE_S = 10.0


@dataclass
class World:
    """A target with its folder, its cluster, and its models' ids by blueprint."""

    folder: Path
    cluster: Cluster
    sent: list[str]
    models: dict[str, str] = field(default_factory=dict)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.folder / "blueprints", self.folder / "targets")

    def write(self, blueprint: Blueprint) -> Blueprint:
        """Write a blueprint's file."""
        document = blueprint.model_dump(by_alias=True, exclude_unset=True, exclude={"name"})
        self.edit(blueprint.name, lambda _: document)
        return blueprint

    def edit(self, name: str, edited: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Write a blueprint's file anew, made of what it says."""
        path = self.folder / "blueprints" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(edited(yaml.safe_load(path.read_text()) if path.exists() else {})))

    def target(self, **more: Any) -> None:
        """Write the target's file."""
        (self.folder / "targets" / "t.yaml").write_text(yaml.safe_dump({**TARGET, **more}))

    def plan(self) -> Plan:
        """The plan, by a new hook; `sent` has its requests."""
        self.sent.clear()
        target, names = self.catalog.fleet("t")
        return plan_for(OpenSearchMLHook(), self.catalog, target, names).plan

    def found(self) -> list[tuple[Kind, str]]:
        return [(change.kind, change.what) for change in self.plan().changes]

    def until_searchable(self) -> None:
        """Wait until a search tells what GET tells: 2.19 refreshes once a second only, after an update."""
        until = time.monotonic() + SEARCHABLE_S
        while any(_told(one) != _told(self.ml("GET", f"models/{one['id']}")) for one in self.cluster.search("models")):
            assert time.monotonic() < until
            time.sleep(0.1)

    def ml(self, method: str, path: str, body: Any = None) -> Any:
        """One call beside the product's own code; raises if it is refused."""
        answer = self.cluster.request(method, f"/_plugins/_ml/{path}", json=body)
        answer.raise_for_status()
        return answer.json()


def _told(model: dict[str, Any]) -> list[Any]:
    return [model.get(name) for name in ("connector_id", "description", "is_enabled", "model_state")]


@pytest.fixture
def world(
    tmp_path: Path,
    make_blueprint: Callable[..., Blueprint],
    hook: OpenSearchMLHook,
    cluster: Cluster,
    sent: list[str],
) -> Iterator[World]:
    """Two models with standalone connectors and one with an internal one, as their target wants them."""
    folder = tmp_path / "fleet"
    for name in ("blueprints", "targets"):
        (folder / name).mkdir(parents=True)
    made = World(folder, cluster, sent)
    made.target()
    with connections(openai_default=json.dumps({"conn_type": "generic", "password": OPENAI_KEY})):
        for name in ("model_1", "model_2", "inside"):
            blueprint = made.write(make_blueprint(name, inline=name == "inside"))
            made.models[name] = provision(hook, blueprint)
        target = made.catalog.fleet("t")[0]
        ensure_ml_settings(hook, target.settings.as_cluster_settings())
        for role, wanted in target.role_mapping.items():
            ensure_role_mapping(hook, role, wanted)
        yield made


@pytest.fixture
def empty_world(tmp_path: Path, cluster: Cluster, hook: OpenSearchMLHook, sent: list[str]) -> World:
    """A target without blueprints, on a clean cluster that trusts and calls this machine."""
    for name in ("blueprints", "targets"):
        (tmp_path / "fleet" / name).mkdir(parents=True)
    settings = {"trusted_connector_endpoints_regex": [r"^http://127\.0\.0\.1:[0-9]+/.*$", r"^https://.*$"]}
    settings |= {"connector.private_ip_enabled": True, "mcp_connector_enabled": True}
    known = {f"plugins.ml_commons.{name}": value for name, value in settings.items()}
    if hook.version < (3, 0):
        del known["plugins.ml_commons.mcp_connector_enabled"]
    cluster.request("PUT", "/_cluster/settings", json={"persistent": known}).raise_for_status()
    return World(tmp_path / "fleet", cluster, sent)
