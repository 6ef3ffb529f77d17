"""A target with a folder and a cluster of its own: its files are written, and plans for it are made, as by the DAG."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.planning import plan_for
from opensearch_ml.resources.changes import Kind, Plan
from tests.support.cluster import Cluster

TARGET = {
    "blueprints": ["model_*", "inside"],
    "settings": {"private_ip_enabled": True, "only_run_on_ml_node": False},
    "role_mapping": {"ml_full_access": {"backend_roles": ["airflow"]}},
}
# The requests of a plan for a fleet that is as its files say.
SETTLED = ["get_role_mappings", "get_settings", "plugins", "search_connectors", "search_models"]
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

    def predictors(self, model_id: str) -> dict[str, str]:
        """By node, the predictor that it holds of a model: another one after each deployment."""
        return predictors_of(self.ml("GET", f"profile/models/{model_id}"), model_id)


def _told(model: dict[str, Any]) -> list[Any]:
    return [model.get(name) for name in ("connector_id", "description", "is_enabled", "model_state")]


def predictors_of(profile: dict[str, Any], model_id: str) -> dict[str, str]:
    """By node, the predictor of a model in its profile."""
    return {node: told["models"][model_id]["predictor"] for node, told in profile["nodes"].items()}
