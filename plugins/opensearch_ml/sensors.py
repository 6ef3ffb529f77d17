"""The sensor that knows how a deployment ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from opensearch_ml.errors import DeployFailed, Final, Transient
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators.base import fail_fast, what_is_next
from opensearch_ml.steps.deployment import Deployment, look_at_deployment, not_in_time
from opensearch_ml.triggers import OpenSearchDeployTaskTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["OpenSearchDeployTaskSensor"]

LOOK_EVERY_S = 0.2  # a remote model deploys in about 0.1 s: a longer pause would be the wait itself
DEFER_AFTER_S = 5.0  # a deferral costs the scheduler about as long
TRIGGERER_GRACE_S = 60


class OpenSearchDeployTaskSensor(BaseSensorOperator):
    """Wait until a model is deployed; a deployment that failed ends the task with the server's cause.

    Looks first, waits a few seconds in the worker, and only then defers or reschedules: a remote model is deployed in
    about 0.1 s.

    :param model_id: the model (templated).
    :param deploy_task_id: the deploy task; None to go by the model alone (templated).
    :param opensearch_conn_id: connection of type ``opensearch`` (templated).
    :param deferrable: wait in the triggerer (default: the configuration's ``operators.default_deferrable``).
    :param poke_interval: seconds between two looks, once deferred or rescheduled (default: 1).
    :param timeout: whole budget in seconds (default: 600, the server's own for a task).
    :return: the model's id.
    """

    template_fields: Sequence[str] = ("model_id", "deploy_task_id", "opensearch_conn_id")
    ui_color = "#b9d9eb"
    _seen = Deployment(done=False, state="nothing was seen")

    def __init__(
        self,
        *,
        model_id: str,
        deploy_task_id: str | None = None,
        opensearch_conn_id: str = OpenSearchMLHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float = 1.0,
        timeout: float = 600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.model_id = model_id
        self.deploy_task_id = deploy_task_id
        self.opensearch_conn_id = opensearch_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> OpenSearchMLHook:
        """The hook for the connection."""
        return OpenSearchMLHook(self.opensearch_conn_id)

    @property
    def acting_hook(self) -> OpenSearchMLHook:
        """The hook whose requests this sensor is refused or not."""
        return self.hook

    @fail_fast
    def execute(self, context: Context) -> str:
        started = time.monotonic()
        try:
            # One that was rescheduled has been patient already.
            if context.get("task_reschedule_count") or not self._look_for(min(DEFER_AFTER_S, self.timeout)):
                self.timeout = max(0.0, self.timeout - (time.monotonic() - started))
                if self.deferrable:
                    self._defer()
                self._poke_on(context)
        except Final as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from None
            raise
        return self.model_id

    @fail_fast
    def poke(self, context: Context) -> bool:
        """Look once; true when the model is deployed on every node planned for it."""
        return self._look()

    @fail_fast
    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Take the trigger's word: the same result, and the same errors, as without a deferral."""
        told = event or {}
        if told.get("status") != "success":
            kind = Transient if told.get("transient") else DeployFailed
            raise kind(
                told.get("cause", "the trigger ended without a word"),
                evidence=told.get("evidence", f"its event is {event}"),
                fix=told.get("fix", "look at the triggerer's log"),
            )
        self._tell(told["state"])
        return self.model_id

    def _look_for(self, seconds: float) -> bool:
        """Look until the model is deployed or the seconds are over; at least once."""
        until = time.monotonic() + seconds
        while True:
            try:
                if self._look():
                    return True
            except Transient as error:
                self.log.info("looking again: %s", error.cause)
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_EVERY_S)

    def _look(self) -> bool:
        self._seen = look_at_deployment(self.hook, self.model_id, self.deploy_task_id)
        if self._seen.done:
            self._tell(self._seen.state)
        else:
            self.log.info("%s", self._seen.state)
        return self._seen.done

    def _tell(self, state: str) -> None:
        self.log.info("%s (connection %s); next: %s", state, self.opensearch_conn_id, what_is_next(self))

    def _defer(self) -> None:
        self.defer(
            trigger=OpenSearchDeployTaskTrigger(
                opensearch_conn_id=self.opensearch_conn_id,
                model_id=self.model_id,
                deploy_task_id=self.deploy_task_id,
                until_s=time.time() + self.timeout,
                poll_interval_s=self.poke_interval,
            ),
            method_name="execute_complete",
            # The trigger gives up by itself, and says why; this is for a triggerer that is gone.
            timeout=timedelta(seconds=self.timeout + TRIGGERER_GRACE_S),
        )

    def _poke_on(self, context: Context) -> None:
        try:
            super().execute(context)
        except AirflowSensorTimeout:
            raise not_in_time(self.model_id, self._seen) from None
