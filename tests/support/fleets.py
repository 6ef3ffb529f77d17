"""A small world for the tests of plans: blueprints, and what a cluster would answer for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.errors import UnresolvedCredential
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.reconcile.plan import plan
from opensearch_ml.resources import adoption, bodies, canonical
from opensearch_ml.resources.changes import Change, Kind, Plan
from opensearch_ml.resources.inventory import Cluster, Fleet
from opensearch_ml.resources.rotation_state import canary_name, held_by
from tests.support.parsing import parse_blueprint

VERSION = (3, 6, 0)
NOW_MS = 1_800_000_000_000
RIGHT = f"scrypt-v1:{'A' * 16}:{'K' * 22}=="  # of the form that `fingerprint` writes


def document(name: str = "chat", **changed: Any) -> dict[str, Any]:
    """A blueprint's document; keyword ``connector__name`` changes what is inside."""
    told: dict[str, Any] = {
        "connector": {
            "name": name,
            "protocol": "http",
            "credential": {"key": {"conn_id": f"{name}_key"}},
            "parameters": {"model": "small"},
            "actions": [
                {
                    "action_type": "predict",
                    "method": "POST",
                    "url": "https://api.example.com/v1/chat",
                    "headers": {"Authorization": "Bearer ${credential.key}"},
                    "request_body": '{"model": "${parameters.model}"}',
                }
            ],
        },
        "smoke_test": {"parameters": {}, "expect": {"path": "inference_results", "type": "array"}},
    }
    for path, value in changed.items():
        node: Any = told
        *parents, last = path.split("__")
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        node[last] = value
    return told


def blueprint(name: str = "chat", **changed: Any) -> Blueprint:
    return parse_blueprint(name, document(name, **changed), source=name)


def mcp(name: str = "tools", **changed: Any) -> Blueprint:
    connector = {
        "name": name,
        "protocol": "mcp_sse",
        "url": "https://api.example.com/sse",
        "credential": {"key": {"conn_id": name}},
        "headers": {"Authorization": "Bearer ${credential.key}"},
    }
    return parse_blueprint(name, {"connector": {**connector, **changed}}, source=name)


def connector(of: Blueprint, connector_id: str, *, created: int = 1, mark: str = RIGHT, **marks: str) -> ConnectorDoc:
    """A connector of ours as a search returns it, in agreement with its blueprint."""
    body = canonical.connector_body(of, {}, mark)
    body["parameters"] |= marks
    for action in body.get("actions", ()):
        action["action_type"] = action["action_type"].upper()
    return cast(ConnectorDoc, {**body, "id": connector_id, "created_time": created})


def foreign(of: Blueprint, connector_id: str) -> ConnectorDoc:
    """The same connector, made by somebody else."""
    found = connector(of, connector_id)
    return {**found, "parameters": {k: v for k, v in found["parameters"].items() if not k.startswith("opensearch_ml")}}


def model(of: Blueprint, model_id: str, on: str | ConnectorDoc, **fields: Any) -> ModelDoc:
    """A deployed model as a search returns it.

    :param on: id of its connector, or its internal one.
    """
    body = bodies.model(of, model_group_id=f"group of {of.name}", credential={}, known=RIGHT)
    body.pop("connector", None)
    body.pop("connector_id", None)
    uses = {"connector_id": on} if isinstance(on, str) else {"connector": on}
    times = {"created_time": 2, "last_updated_time": 3}
    told = {**body, **uses, **times, "id": model_id, "model_state": "DEPLOYED", "algorithm": "REMOTE", **fields}
    return cast(ModelDoc, told)


def adopted_world() -> tuple[Blueprint, ConnectorDoc, ModelDoc]:
    """A model that was adopted: (its blueprint, the connector of whoever made it, the model)."""
    chat = blueprint()
    described = adoption.described("By hand", "chat", RIGHT)
    return chat, foreign(chat, "theirs"), model(chat, "m", "theirs", description=described)


def canary(of: Blueprint, on: str, *, stirred_s: float = 5.0, **fields: Any) -> ModelDoc:
    """The canary of a rotation whose last sign of life is so many seconds ago."""
    told = {"name": canary_name(of.name), "description": held_by("run-1", "ab12", 3)}
    return model(of, "canary", on, **told, last_updated_time=NOW_MS - int(stirred_s * 1000), **fields)


def internal(found: ConnectorDoc) -> ConnectorDoc:
    """The same connector inside a model, where it has no id."""
    inside = found.copy()
    del inside["id"]
    return inside


def stands(of: Blueprint) -> tuple[list[ConnectorDoc], list[ModelDoc]]:
    """What a provisioned blueprint has on its cluster: (connectors, models)."""
    if of.inline:
        return [], [model(of, f"m-{of.name}", internal(connector(of, "")))]
    made = [connector(of, f"c-{of.name}")]
    return made, [] if of.connector.is_mcp else [model(of, f"m-{of.name}", f"c-{of.name}")]


def cluster(
    connectors: Iterable[ConnectorDoc] = (),
    models: Iterable[ModelDoc] = (),
    *,
    groups: Iterable[str] = (),
    settings: Mapping[str, Any] | None = None,
    mappings: Mapping[str, Any] | None = None,
    trusts: bool = True,
) -> Cluster:
    """A cluster that trusts the example's URL."""
    pattern = trusted_endpoints.labelled(trusted_endpoints.derive("https://api.example.com/v1/chat", {}))
    sse = trusted_endpoints.labelled(trusted_endpoints.derive("https://api.example.com/sse", {}))
    trusted = {trusted_endpoints.SETTING: [pattern, sse] if trusts else []}
    fleet = Fleet(list(connectors), list(models), VERSION, frozenset(groups))
    return Cluster(fleet, {**trusted, **(settings or {})}, mappings)


def planned(wanted: Iterable[Blueprint | Desired], on: Cluster, target: Target | None = None, **asked: Any) -> Plan:
    """The plan, where a credential serves if its mark is `RIGHT`."""
    told = [one if isinstance(one, Desired) else Desired(one.name, one) for one in wanted]
    asked.setdefault("serves", lambda _, mark: mark == RIGHT)
    asked.setdefault("now_ms", NOW_MS)
    return plan(target or Target(name="t"), told, on, **asked)


def only(found: Plan) -> Change:
    """The one change of a plan."""
    [change] = found.changes
    return change


def kinds(found: Plan) -> list[tuple[Kind, str]]:
    return [(change.kind, change.what) for change in found.changes]


def lost(of: Blueprint, mark: str | None) -> bool:
    """A source that does not answer."""
    raise UnresolvedCredential(f"{of.name} refers to what is not there", evidence="none", fix="create it")
