"""Three models provisioned for a target, and a way to see what a plan for it costs and says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.steps.cluster_settings import ensure_ml_settings
from opensearch_ml.steps.role_mapping import ensure_role_mapping
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.fleet_world import World
from tests.support.provisioning import provision


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
    settings: dict[str, bool | list[str]] = {
        "trusted_connector_endpoints_regex": [r"^http://127\.0\.0\.1:[0-9]+/.*$", r"^https://.*$"]
    }
    settings |= {"connector.private_ip_enabled": True, "mcp_connector_enabled": True}
    known = {f"plugins.ml_commons.{name}": value for name, value in settings.items()}
    if hook.version < (3, 0):
        del known["plugins.ml_commons.mcp_connector_enabled"]
    cluster.request("PUT", "/_cluster/settings", json={"persistent": known}).raise_for_status()
    return World(tmp_path / "fleet", cluster, sent)
