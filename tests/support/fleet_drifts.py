"""Ways in which a cluster comes to differ from what a fleet's files say, and what a plan should say of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from opensearch_ml.reconcile.diff_blueprint import STUCK_S
from opensearch_ml.resources.changes import Kind
from tests.support.fleet_world import World
from tests.support.provisioning import CREDENTIAL


def put_model(world: World, name: str, body: dict[str, Any]) -> None:
    world.ml("PUT", f"models/{world.models[name]}", body)


def undeploy(world: World) -> None:
    world.ml("POST", f"models/{world.models['model_1']}/_undeploy")


def leave_deploying(world: World) -> None:
    """A deployment that nobody works on any more, in the server's own record, and for longer than one may take."""
    set_on_cluster(world, sync_up_job_interval_in_seconds=0)  # the server would correct its record by itself
    since_ms = int((time.time() - STUCK_S - 60) * 1000)
    record = f"/.plugins-ml-model/_update/{world.models['model_1']}?refresh=true"
    told = {"doc": {"model_state": "DEPLOYING", "last_updated_time": since_ms}}
    world.cluster.request("POST", record, json=told).raise_for_status()


def delete_model(world: World) -> None:
    undeploy(world)
    world.ml("DELETE", f"models/{world.models['model_1']}")


def lose_connector(world: World) -> None:
    put_model(world, "model_1", {"connector_id": "nowhere"})  # the server takes any id


def lose_both(world: World) -> None:
    [used] = [one["connector_id"] for one in world.cluster.search("models") if one["id"] == world.models["model_1"]]
    lose_connector(world)
    world.until_searchable()  # or it counts as used
    world.ml("DELETE", f"connectors/{used}")


def put_on_a_foreign_connector(world: World) -> None:
    body = {**foreign_body(world, "model_1"), "name": "theirs"}
    put_model(world, "model_1", {"connector_id": world.ml("POST", "connectors/_create", body)["connector_id"]})


def foreign_body(world: World, name: str) -> dict[str, Any]:
    """The body of a blueprint's connector, as somebody writes it by hand."""
    connector = world.catalog.blueprint(name).connector
    return {**connector.model_dump(exclude_none=True, by_alias=True), "credential": CREDENTIAL}


def set_on_cluster(world: World, **settings: Any) -> None:
    body = {"persistent": {f"plugins.ml_commons.{name}": value for name, value in settings.items()}}
    world.cluster.request("PUT", "/_cluster/settings", json=body).raise_for_status()


def unmap(world: World) -> None:
    url = "/_plugins/_security/api/rolesmapping/ml_full_access"
    world.cluster.request("PUT", url, json={"backend_roles": ["others"]}).raise_for_status()


def another_model(document: dict[str, Any]) -> dict[str, Any]:
    document["connector"]["parameters"]["model"] = "text-embedding-3-large"
    return document


# By name: what makes the drift, and what a plan should have for it.
DRIFTS: dict[str, tuple[Callable[[World], Any], list[tuple[Kind, str]]]] = {
    "definition": (lambda world: world.edit("model_1", another_model), [(Kind.SWAP, "model_1")]),
    "definition inside": (lambda world: world.edit("inside", another_model), [(Kind.SWAP, "inside")]),
    "description": (
        lambda world: put_model(world, "model_2", {"description": "by somebody"}),
        [(Kind.UPDATE, "model_2")],
    ),
    "disabled": (lambda world: put_model(world, "inside", {"is_enabled": False}), [(Kind.UPDATE, "inside")]),
    "undeployed": (undeploy, [(Kind.REDEPLOY, "model_1")]),
    "stuck in DEPLOYING": (leave_deploying, [(Kind.REDEPLOY, "model_1")]),
    "model deleted": (delete_model, [(Kind.CREATE, "model_1")]),
    "connector lost": (lose_connector, [(Kind.UPDATE, "model_1")]),
    "connector deleted": (lose_both, [(Kind.CREATE, "model_1")]),
    "foreign connector": (put_on_a_foreign_connector, [(Kind.UPDATE, "model_1")]),
    "untrusted": (
        lambda world: set_on_cluster(world, trusted_connector_endpoints_regex=[]),
        [(Kind.SETTINGS, "trusted endpoints")],
    ),
    "setting": (
        lambda world: set_on_cluster(world, **{"connector.private_ip_enabled": False}),
        [(Kind.SETTINGS, "cluster settings")],
    ),
    "mapping": (unmap, [(Kind.SETTINGS, "mapping of role ml_full_access")]),
    "orphan": (lambda world: (world.folder / "blueprints/model_1.yaml").unlink(), [(Kind.ORPHAN, "model_1")]),
    "broken file": (
        lambda world: (world.folder / "blueprints/model_1.yaml").write_text("connector: {"),
        [(Kind.BROKEN, "model_1")],
    ),
}


def quick(document: dict[str, Any]) -> dict[str, Any]:
    """Let calls end soon: a swap waits as long as one may be in flight."""
    document["connector"]["client_config"] = {"read_timeout": 1, "connection_timeout": 1}
    return document
