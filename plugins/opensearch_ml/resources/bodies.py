"""The bodies that make a blueprint's model group and model: the steps send them, and the command line shows them.

The connector's own is `canonical.connector_body`.
Source: ``POST /_plugins/_ml/model_groups/_register``, ``POST /_plugins/_ml/models/_register``,
``PUT /_plugins/_ml/models/{id}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_ml.base.owner import OWNER
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.resources import adoption, canonical

GROUP_LABEL = f"(managed by {OWNER})"  # a model group has no field of its own for an owner
NO_LABEL = "-"  # in the place of a fingerprint, which takes 40 ms, where nobody looks at it
UPDATABLE = ("description", "is_enabled", "rate_limiter", "guardrails", "interface", "model_config", "deploy_setting")


def model_group(blueprint: Blueprint) -> dict[str, Any]:
    """Return the body that creates the blueprint's model group, with our mark."""
    group = blueprint.model.group
    body = group.model_dump(exclude_none=True) if group else {"name": blueprint.group_name}
    return body | {"description": f"{body.get('description', '')} {GROUP_LABEL}".strip()}


def model(
    blueprint: Blueprint,
    *,
    model_group_id: str,
    connector_id: str | None = None,
    credential: Mapping[str, str] | None = None,
    known: str | None = None,
) -> dict[str, Any]:
    """Return the body that registers the blueprint's model.

    :param connector_id: the standalone connector; not used for an internal one, which needs `credential`.
    :param known: the credential's fingerprint, as in `canonical.connector_body`.
    """
    body = blueprint.model.model_dump(exclude_none=True, exclude={"group"}, by_alias=True)
    # Without a group the server makes a public one, and lets a model use other people's private connectors.
    body |= {"name": blueprint.model_name, "function_name": "remote", "model_group_id": model_group_id}
    if blueprint.inline:
        return body | {"connector": canonical.connector_body(blueprint, credential or {}, known)}
    return body | {"connector_id": connector_id}


def model_update(body: Mapping[str, Any], found: ModelDoc) -> dict[str, Any]:
    """Return the body that mends what differs in a model's own fields; its connector is not looked at.

    The description of an adopted model keeps the mark by which it is ours.

    :param body: that registers it (`model`).
    :param found: the model as GET or search returns it.
    """
    wanted = dict(body)
    if (adopted := adoption.read(found)) and "description" in body:
        wanted["description"] = adoption.described(body["description"], adopted.blueprint, adopted.known)
    changes = {key: wanted[key] for key in UPDATABLE if key in wanted and not holds(found.get(key), wanted[key])}
    if found.get("is_enabled") is False and body.get("is_enabled") is not False:
        changes["is_enabled"] = True  # an interrupted teardown leaves the model disabled
    return changes


def holds(found: Any, wanted: Any) -> bool:
    """Tell whether what the server has of a model's field agrees with what is wanted; it writes some as strings."""
    if isinstance(wanted, Mapping):
        if isinstance(found, str):  # the interface's schemas are stored as JSON text
            return found == canonical.as_stored(wanted)
        return isinstance(found, Mapping) and all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, bool) and found is None:
        return wanted is True  # 2.19 does not store is_enabled: true
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and found is not None:
        return float(found) == float(wanted)
    return bool(found == wanted)
