"""One run of a rotation: what it has seen and done so far, and the account that it gives of it. It makes no step."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import CredentialSource, NextCredential
from opensearch_ml.errors import RotationFailed
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.rotation_state import Connector, RotationState, reasons
from opensearch_ml.rotation import failures
from opensearch_ml.rotation.lease import Lease
from opensearch_ml.rotation.read_state import read_rotation_state
from opensearch_ml.rotation.record import Journal, Limits, Outcome, RotationRecord, Step, StepTime
from opensearch_ml.rotation.switch import Switch
from opensearch_ml.steps import model as models

log = logging.getLogger(__name__)


class Run:
    """What one run knows and tells; which steps it makes, and in what order, is `swap`'s.

    :ivar found: what stands in the cluster, as of the last `look`.
    :ivar why: what is wrong with what serves; empty: nothing.
    :ivar new: the next credential, once the source gave it.
    :ivar at: the step that was begun last.
    """

    def __init__(
        self,
        hook: OpenSearchMLHook,
        blueprint: Blueprint,
        source: CredentialSource,
        token: str,
        acting: OpenSearchMLHook | None,
        limits: Limits,
        force: bool,
        on_step: Journal,
    ) -> None:
        self.hook, self.blueprint, self.source = hook, blueprint, source
        self.token, self.acting, self.limits, self.force = token, acting, limits, force
        self.on_step = on_step
        self.lease = Lease(hook, token, limits.lease_s)
        self.found = RotationState(None, None)
        self.why: tuple[str, ...] = ()
        self.new: NextCredential | None = None
        self.switch: Switch | None = None
        self.at: Step | None = None
        self.steps: list[StepTime] = []
        self.details: list[str] = []
        self.tested = self.proven = self.nodes = 0

    def look(self) -> None:
        """Look at the cluster again.

        :raises RotationFailed: there is no model to rotate.
        """
        self.found = read_rotation_state(self.hook, self.blueprint)
        if self.found.live is None:
            made = models.made_from(self.hook, self.blueprint.name)
            raise failures.nothing_to_rotate(self.blueprint, self.found, made)
        serves = self.source.serves(self.live.mark)
        self.why = reasons(self.live, serves=serves, force=self.force, token=self.token)

    @property
    def live(self) -> Connector:
        assert self.found.live is not None  # noqa: S101 `look` has made sure
        return self.found.live

    @property
    def model_id(self) -> str:
        return str((self.found.model or {}).get("id", ""))

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Make a step: only while the lease is ours; its time is noted if it ends well.

        :raises LeaseLost: another run holds it.
        """
        self.lease.check()
        self.at = step
        self.on_step(step, "before")
        started, clock = datetime.now(timezone.utc), time.monotonic()
        log.info("%s: %s", self.blueprint.name, step.value)
        yield
        self.steps.append(
            StepTime(step.value, started.isoformat(timespec="milliseconds"), round(time.monotonic() - clock, 3))
        )
        self.on_step(step, "after")

    def failed(self, error: Exception, at: Step | None, serves: str) -> RotationFailed:
        step = at.value if at else "the first look"
        return failures.refused(self.blueprint, error, step=step, serves=serves, redact=self.hook.redact)

    def busy(self, holder: str | None) -> RotationRecord:
        self.details.append(f"run {holder} rotates it" if holder else "somebody has deleted its canary")
        return self.record("busy")

    def record(self, outcome: Outcome, old: Connector | None = None) -> RotationRecord:
        rotated = outcome == "rotated"
        live = read_rotation_state(self.hook, self.blueprint).live if rotated else self.found.live
        mark = (live.mark if live else None) or ""
        if old and old.mark == mark and "forced" in self.why and self.blueprint.connector.references:
            origin = self.blueprint.credential_origin
            self.details.append(f"the credential is the same as before: change {origin} for a new one")
        return RotationRecord(
            outcome=outcome,
            blueprint=self.blueprint.name,
            model_id=self.model_id,
            source=self.source.name,
            why=self.why if rotated else (),
            old_connector=old.id if old else "",
            new_connector=live.id if live else "",
            old_mark=(old.mark if old else None) or "",
            new_mark=mark,
            version=self.new.version if self.new else "",
            steps=tuple(self.steps),
            test_predicts=self.tested,
            proof_predicts=self.proven,
            nodes=self.nodes,
            next_due=self.source.due(mark or None),
            details=tuple(self.details),
        )
