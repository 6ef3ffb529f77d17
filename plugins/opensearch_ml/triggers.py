"""The trigger that waits for a deployment in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from opensearch_ml.errors import OpenSearchMLError, Transient

if TYPE_CHECKING:
    from opensearch_ml.hook import OpenSearchMLHook
    from opensearch_ml.steps.deployment import Deployment

__all__ = ["OpenSearchDeployTaskTrigger"]


class OpenSearchDeployTaskTrigger(BaseTrigger):
    """Look at a deployment until it has ended, well or badly. Its row holds ids only.

    :param opensearch_conn_id: connection of type ``opensearch``.
    :param model_id: the model.
    :param deploy_task_id: the deploy task, or None.
    :param until_s: when to give up, in seconds since 1970; a restart of the triggerer does not move it.
    :param poll_interval_s: seconds between two looks.
    """

    def __init__(
        self,
        opensearch_conn_id: str,
        model_id: str,
        deploy_task_id: str | None,
        until_s: float,
        poll_interval_s: float = 1.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.opensearch_conn_id = opensearch_conn_id
        self.model_id = model_id
        self.deploy_task_id = deploy_task_id
        self.until_s = until_s
        self.poll_interval_s = poll_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what rebuilds this trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "opensearch_conn_id": self.opensearch_conn_id,
                "model_id": self.model_id,
                "deploy_task_id": self.deploy_task_id,
                "until_s": self.until_s,
                "poll_interval_s": self.poll_interval_s,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: ``{"status": "success", "state": …}`` or ``{"status": "error", "cause": …}``."""
        # The client is synchronous; in a thread it cannot hold up the other triggers.
        look = sync_to_async(self._look, thread_sensitive=False)
        while True:
            # Before the first look too: an event that comes before the scheduler has seen the deferral is lost.
            await asyncio.sleep(self.poll_interval_s)
            try:
                seen = await look()
            except OpenSearchMLError as error:
                if isinstance(error, Transient) and time.time() < self.until_s:
                    self.log.info("looking again: %s", error.cause)
                    continue
                yield _told(error)
                return
            if seen.done:
                yield _event({"status": "success", "state": seen.state})
                return

    @cached_property
    def _hook(self) -> OpenSearchMLHook:
        # Imported in the thread, like the steps: the triggerer imports this module on its event loop, and
        # opensearch-py takes 0.7 s.
        from opensearch_ml.hook import OpenSearchMLHook

        return OpenSearchMLHook(self.opensearch_conn_id)

    def _look(self) -> Deployment:
        from opensearch_ml.steps.deployment import look_at_deployment, not_in_time

        seen = look_at_deployment(self._hook, self.model_id, self.deploy_task_id)
        if not seen.done and time.time() >= self.until_s:
            raise not_in_time(self.model_id, seen)
        return seen


def _told(error: OpenSearchMLError) -> TriggerEvent:
    # The class does not cross over to the worker; whether a retry may help does.
    told = {"cause": error.cause, "evidence": error.evidence, "fix": error.fix}
    return _event({"status": "error", "transient": isinstance(error, Transient), **told})


def _event(payload: dict[str, str | bool]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow gives it no types
