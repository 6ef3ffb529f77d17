"""The bodies that make a blueprint's model group and model: the steps send them, and the command line shows them.

The connector's own is `canonical.connector_body`.
Source: ``POST /_plugins/_ml/model_groups/_register``, ``POST /_plugins/_ml/models/_register``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_ml import OWNER, canonical
from opensearch_ml.blueprint import Blueprint

GROUP_MARK = f"(managed by {OWNER})"  # a model group has no field of its own for an owner


def model_group(blueprint: Blueprint) -> dict[str, Any]:
    """Return the body that creates the blueprint's model group, with our mark."""
    group = blueprint.model.group
    body = group.model_dump(exclude_none=True) if group else {"name": blueprint.group_name}
    return body | {"description": f"{body.get('description', '')} {GROUP_MARK}".strip()}


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
