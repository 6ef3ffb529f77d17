"""Access fields of the connector and of the model group, as the server takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.errors import Finding


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what contradicts itself, or shares with nobody."""
    if blueprint.inline:
        yield from _inline(blueprint.connector)
    else:
        yield from _scope(blueprint.connector, "connector")
    if blueprint.model.group:
        yield from _scope(blueprint.model.group, "model.group")


def _scope(scope: Any, path: str) -> Iterator[Finding]:
    roles, mode = scope.backend_roles, scope.access_mode
    if mode in ("public", "private") and (roles or scope.add_all_backend_roles):
        yield Finding(
            f"{path}.backend_roles", f"cannot go with access_mode {mode}", "Use access_mode: restricted, or no roles."
        )
    if roles and scope.add_all_backend_roles:
        yield Finding(
            f"{path}.backend_roles", "cannot go with add_all_backend_roles, which adds all of the caller's", "Use one."
        )
    if mode == "restricted" and not roles and not scope.add_all_backend_roles:
        yield Finding(
            f"{path}.access_mode", "is restricted to nobody", "Add backend_roles or add_all_backend_roles: true."
        )


def _inline(connector: Connector) -> Iterator[Finding]:
    for field in ("access_mode", "backend_roles", "add_all_backend_roles"):
        if getattr(connector, field) is not None:
            yield Finding(
                f"connector.{field}",
                "is for standalone connectors: whoever may use the model may use the connector inside it",
                f"Move it to model.group.{field}.",
            )
