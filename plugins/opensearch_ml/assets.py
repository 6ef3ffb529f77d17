"""The asset that stands for a blueprint's model on a target: whoever needs the model is scheduled on it.

An event of it says that the model appeared or changed; its extra has the ``model_id`` and what was done, no secret.
Whoever makes an event has `MODELS` among its outlets, because the models are known at run time alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import InletEventsAccessor

from opensearch_ml.base.outcome import Changed

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["MODELS", "asset_of", "fleet_of"]

MODELS = AssetAlias("opensearch_ml_models")
NOTED = "opensearch_ml_noted"


def asset_of(target: str, blueprint: str) -> Asset:
    """Return the asset that stands for a blueprint's model on a target."""
    return Asset(f"opensearch-ml://{target}/{blueprint}")


def fleet_of(target: str) -> Asset:
    """Return the asset that stands for a target as a whole: what outlives its runs is kept there; it has no events."""
    return Asset(f"opensearch-ml://{target}")


def announce(context: Context, asset: Asset, model_id: str, done: Iterable[str], **more: Any) -> None:
    """Make an event: the model appeared or changed.

    :param done: what was done to it.
    :param more: what else is to be known; no secret.
    """
    context["outlet_events"][MODELS].add(asset, extra={"model_id": model_id, "done": [*done], **more})


def was_announced(asset: Asset, model_id: str) -> bool:
    """Tell whether the asset's last event was about this model."""
    # By both name and URI: by one of them an asset that no DAG names is not found, and its events neither.
    last = InletEventsAccessor(asset_name=asset.name, asset_uri=asset.uri).ascending(False).limit(1)
    return any((event.extra or {}).get("model_id") == model_id for event in last)


def note(context: Context, done: Changed | str) -> None:
    """Leave what a task changed for the one that makes the event, later in the run, once the model answers."""
    if done:
        context["ti"].xcom_push(key=NOTED, value=str(done))


def noted(context: Context, task_ids: Sequence[str]) -> list[str]:
    """Return what these tasks have left, in their order."""
    found = (context["ti"].xcom_pull(task_ids=task_id, key=NOTED) for task_id in task_ids)
    return [str(told) for told in found if told]
