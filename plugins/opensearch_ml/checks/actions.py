"""Actions: which there are, and whether anything would ever run them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Finding

OF_A_BATCH = ("batch_predict_status", "cancel_batch_predict")


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what is wrong with the list of actions."""
    connector = blueprint.connector
    if connector.is_mcp:
        return
    types = {action.action_type for action in connector.actions}
    if "predict" not in types:
        yield Finding("connector.actions", "has no predict action, so no model on it could answer", "Add one.")
    first: dict[Any, int] = {}
    for index, action in enumerate(connector.actions):
        path = f"connector.actions.{index}"
        before = first.setdefault((action.action_type, action.name), index)
        same_name = first.setdefault(action.name, index) if action.name else index
        if before != index:
            yield Finding(
                path,
                f"is a second {action.action_type} action: the server only ever uses the first",
                f"Remove one of actions {before} and {index}.",
            )
        elif same_name != index:
            yield Finding(
                f"{path}.name", f"is the name of action {same_name} too, which alone is found by it", "Rename it."
            )
        if action.action_type in OF_A_BATCH and "batch_predict" not in types:
            yield Finding(
                f"{path}.action_type",
                "is about jobs of a batch_predict action, and there is none",
                "Add it, or remove this.",
            )
