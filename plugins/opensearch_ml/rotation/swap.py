"""The swap: how a model comes to serve a new credential or a new definition, and keeps its id.

    claim ─ register ─ recover ─ fetch ─ deploy ─ test ─ switch ─ prove ─ promote ─ grace ─ retire ─ delete old, canary
    any failure up to the test: the candidate goes, and production never met it     after the switch: back, and proven

After `promote` there is no way back, and no reason for one: the new one serves and is proven. A run that is killed, at
any step, is taken up by the next one, by what stands in the cluster (`rotation_state`); this module keeps nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.source import CredentialSource
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources.rotation_state import CLAIMED, Connector, Move, marks_of, next_move, tellable
from opensearch_ml.rotation import candidate, failures, prove
from opensearch_ml.rotation.embedding import other_vectors
from opensearch_ml.rotation.lease import LeaseLost, is_alive
from opensearch_ml.rotation.read_state import read_rotation_state
from opensearch_ml.rotation.record import DEFAULT_LIMITS, Journal, Limits, RotationRecord, Step, no_journal
from opensearch_ml.rotation.run import Run
from opensearch_ml.rotation.switch import Switch
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps.cluster_settings import remove_trusted_endpoints, trusted_for, trusting

log = logging.getLogger(__name__)


def rotate(
    hook: OpenSearchMLHook,
    blueprint: Blueprint,
    source: CredentialSource,
    *,
    token: str,
    acting: OpenSearchMLHook | None = None,
    limits: Limits = DEFAULT_LIMITS,
    force: bool = False,
    on_step: Journal = no_journal,
) -> RotationRecord:
    """Make the blueprint's model serve what the blueprint and its source say now, without losing a predict.

    :param token: of this run; a retry has the same one, and goes on at once.
    :param acting: adds the trusted endpoints of the new URLs before a candidate is created, and removes those of the
        old URLs after the rotation. None: trusted endpoints are left as they are.
    :param force: also when nothing differs.
    :param on_step: called before and after each step.
    :return: what was done; ``busy`` if another run rotates this model.
    :raises RotationFailed: the candidate was refused, or did not come to serve; says what serves.
    :raises Transient: the cluster did not answer before anything was written.
    :raises OpenSearchMLError: the trusted endpoints of the old URLs could not be removed.
    """
    before = trusted_for(connectors.ours(hook, blueprint.name)) if acting else set()
    record = _Rotation(hook, blueprint, source, tellable(token), acting, limits, force, on_step).run()
    idle = before - {pattern for pattern, _ in blueprint.trusted}
    if acting and record.outcome == "rotated" and idle:
        log.info("%s", remove_trusted_endpoints(acting, idle))
    return record


class _Rotation(Run):
    """The steps of a run, in their order, and the ways out."""

    def run(self) -> RotationRecord:
        with self.lease:
            try:
                self.look()
                return self.go_on() if self.nobody_lives() else self.busy(self.found.holder)
            except LeaseLost as other:
                return self.busy(other.holder)

    # ---- what to do

    def nobody_lives(self) -> bool:
        if self.found.holder in (None, "", self.token):
            return True
        if is_alive(self.hook, self.blueprint, self.found, self.limits.lease_s):
            return False
        log.warning("run %s is dead; this run goes on where it stopped", self.found.holder)
        self.details.append(f"taken over from run {self.found.holder}, which was killed")
        self.look()
        return True

    def go_on(self) -> RotationRecord:
        if self.found.canaries:
            self.lease.take(self.found.canaries[0].id)
            self.look()  # only from here on does nobody else change anything
        move = next_move(self.found, self.why)
        log.info("%s: %s (%s)", self.blueprint.name, move.value, ", ".join(self.why) or "what serves is right")
        if move is Move.REPLACE:
            return self.replace()
        if move is Move.FINISH:
            return self.finish()
        if move is Move.CLEAN:
            self.clean()
        return self.record("unchanged")

    # ---- the three ways

    def replace(self) -> RotationRecord:
        old = self.live
        if refusal := failures.untestable(self.blueprint, self.found) or failures.cannot_be_put(
            self.blueprint, self.found
        ):
            raise refusal
        if told := other_vectors(self.blueprint, old.differs):
            log.warning("%s: %s", self.blueprint.name, told)
            self.details.append(told)
        trusted = trusting(self.acting, self.blueprint.trusted) if self.acting else nullcontext()
        with trusted, self.or_undone():
            made = self.candidate()
            if not self.why:  # between the first look and the claim another run has come and gone
                self.clean()
                return self.record("unchanged")
            made = self.fetch(made)
            self.test()
            self.switch = self.switch_to(made.id, back_to=old.id or None, previous=self.source.previous())
            with self.step(Step.SWITCH):
                self.lease.renew()  # for certain: from here on production is changed
                self.switch.forth()
            self.prove_and_promote()
        unused = [one for one in (*self.found.candidates, *self.found.retired) if one.id != made.id]
        replaced = [one for one in (old, *unused) if not one.others]
        in_flight_s = max(one.in_flight_s for one in (old, *unused))
        self.wait_and_retire(time.monotonic(), replaced, in_flight_s)
        return self.record("rotated", old)

    def finish(self) -> RotationRecord:
        """The run that switched was killed: which of its last steps it did, is not known, and each may be repeated."""
        self.why = ("finished",)
        self.new = self.source.resume(str(self.live.mark))
        old = self.replaced()
        since = time.monotonic() - self.seconds_since_switch()
        self.switch = self.switch_to(self.live.id, back_to=old[-1].id or None if old else None)
        with self.or_undone():
            with self.step(Step.SWITCH):
                self.switch.again()
            self.prove_and_promote()
        in_flight_s = max((one.in_flight_s for one in old), default=self.live.in_flight_s)
        self.wait_and_retire(since, old, in_flight_s)
        return self.record("rotated", old[-1] if old else None)

    def clean(self) -> None:
        """Live is right: take away what no run needs any more."""
        if self.found.canaries or self.found.candidates:
            with self.step(Step.RECOVER):
                self.details += self.source.recover(self.live.mark, marks_of(self.found.retired))
        self.take_away([one.id for one in (*self.found.candidates, *self.found.retired)])

    # ---- up to the switch

    def candidate(self) -> Connector:
        """Return the candidate to go on with: one that a killed run left, or a new one; and see to its canary."""
        given_first = sorted(self.found.candidates, key=lambda one: one.mark == CLAIMED)
        made = next((one for one in given_first if self.is_usable(one)), None)
        if made is None and (self.found.canaries or self.found.candidates):
            log.info("%s: what a killed run left does not fit any more, and is deleted", self.blueprint.name)
            self.take_away([one.id for one in self.found.candidates])
        if made is None:
            with self.step(Step.CLAIM):
                made_id = candidate.claim(self.hook, self.blueprint, self.token)
            self.look()
            made = next(one for one in self.found.candidates if one.id == made_id)
        if self.why and not any(canary.connector_id == made.id for canary in self.found.canaries):
            with self.step(Step.REGISTER):
                self.see_to_canary(made.id)
        return made

    def see_to_canary(self, candidate_id: str) -> None:
        if self.lease.canary_id:
            candidate.point_canary(self.hook, self.lease.canary_id, candidate_id)
            return
        group_id = str((self.found.model or {})["model_group_id"])
        described = self.lease.description
        self.lease.take(candidate.register_canary(self.hook, self.blueprint, candidate_id, group_id, described))

    def is_usable(self, left: Connector) -> bool:
        if left.differs or left.mark is None:
            return False
        if left.mark == CLAIMED:
            return True
        known = self.source.resume(left.mark)
        if known and not known.credential and self.blueprint.inline:
            self.source.abandon(known)  # an internal connector needs the secret once more, and nobody has it
            return False
        self.new = known
        return known is not None

    def fetch(self, made: Connector) -> Connector:
        """Return the candidate, which has the new credential now."""
        with self.step(Step.RECOVER):
            others = marks_of((*self.found.candidates, *self.found.retired))
            self.details += self.source.recover(self.live.mark, others)
        with self.step(Step.FETCH):
            if made.mark == CLAIMED:
                self.new = self.source.next().with_mark_of(self.live.mark)
                replaces = None if self.live.id else self.live.mark
                given = candidate.give(
                    self.hook, self.blueprint, made.id, self.new, token=self.token, replaces=replaces
                )
                if given != made.id:
                    candidate.point_canary(self.hook, self.lease.canary_id, given)
                    self.found = read_rotation_state(self.hook, self.blueprint)
                    made = next(one for one in self.found.candidates if one.id == given)
        return made

    def test(self) -> None:
        canary_id = self.lease.canary_id
        with self.step(Step.DEPLOY):
            candidate.deploy(self.hook, canary_id)
        with self.step(Step.TEST):
            answer_s = self.limits.answer_s or self.live.in_flight_s
            predicts = self.limits.test_predicts
            candidate.test(self.hook, self.blueprint, canary_id, predicts=predicts, answer_s=answer_s)
            self.tested = predicts

    # ---- from the switch on

    def switch_to(self, connector_id: str, *, back_to: str | None, previous: Mapping[str, str] | None = None) -> Switch:
        return Switch(
            self.hook,
            self.blueprint,
            self.found.model or {},
            to=connector_id,
            new=self.new,
            token=self.token,
            back_to=back_to,
            previous=previous,
        )

    def prove_and_promote(self) -> None:
        with self.step(Step.PROVE):
            self.prove()
        with self.step(Step.PROMOTE):
            if self.new:
                self.source.promote(self.new)

    def prove(self) -> None:
        before = self.switch.before if self.switch else {}
        self.nodes = prove.until_every_node_serves(self.hook, self.model_id, before, timeout_s=self.limits.serve_s)
        if not self.nodes or (self.found.model or {}).get("is_enabled") is False:
            self.details.append("the model is not deployed or disabled, so it was not asked")
            return
        predicts = self.limits.proof_predicts * self.nodes
        self.proven = prove.ask(self.hook, self.blueprint, self.model_id, predicts)

    def wait_and_retire(self, since: float, old: list[Connector], in_flight_s: float) -> None:
        """What follows once the new one serves for good; an error here is told, and the next run goes on."""
        try:
            with self.step(Step.GRACE):
                self.wait(since, in_flight_s)
            with self.step(Step.RETIRE):
                self.retire(old)
            with self.step(Step.DELETE_OLD):
                self.details += candidate.delete_connectors(self.hook, [one.id for one in old if one.id])
            self.take_away([one.id for one in self.found.candidates] if self.blueprint.inline else [])
        except OpenSearchMLError as error:
            raise self.failed(error, self.at, "the new one serves, and the next run retires the old one") from error

    def replaced(self) -> list[Connector]:
        """What the killed run has replaced, as far as it is there still."""
        if not self.blueprint.inline:
            return list(self.found.retired)
        before = [one.replaces for one in self.found.candidates if one.mark == self.live.mark]
        return [Connector(id="", mark=before[0], in_flight_s=self.live.in_flight_s)] if before else []

    def retire(self, old: list[Connector]) -> None:
        serving = self.new.mark if self.new else self.live.mark
        for one in old:
            users = connectors.users_of(self.hook, one.id) if one.id else []
            if users:
                self.details.append(f"{one.id} is used by model {', '.join(users)}, so its credential was not retired")
            elif one.mark not in (serving, CLAIMED):
                self.details += self.source.retire(one.mark)

    def wait(self, since: float, in_flight_s: float) -> None:
        until = since + self.limits.grace_s + min(in_flight_s, self.limits.grace_max_s)
        if (rest := until - time.monotonic()) > 0:
            log.info("%s: calls in flight have ended in %.0f s; then the old one retires", self.blueprint.name, rest)
            time.sleep(rest)  # for nothing that could be seen: the calls are between the cluster and the platform

    def seconds_since_switch(self) -> float:
        if not self.lease.canary_id:
            return 0.0
        self.lease.renew()  # writes the canary, whose time is now the cluster's own now
        return prove.seconds_between(self.hook, self.model_id, self.lease.canary_id)

    # ---- the ways out

    @contextmanager
    def or_undone(self) -> Iterator[None]:
        """Undo everything if the block fails, and tell why."""
        try:
            yield
        except LeaseLost:
            raise
        except Exception as error:
            failed_at = self.at
            raise self.failed(error, failed_at, self.undo()) from error

    def undo(self) -> str:
        """Go back, take the candidate away, and say what serves."""
        served_new = self.switch is not None and self.switch.tried
        try:
            if self.switch and served_new:
                with self.step(Step.BACK):
                    self.switch.back()
                with self.step(Step.PROVE_BACK):
                    self.prove_back(self.switch)
                with self.step(Step.GRACE):
                    self.wait(time.monotonic(), self.live.in_flight_s)
            with self.step(Step.ABANDON):
                if self.new:
                    self.source.abandon(self.new)
            left = self.take_away([one.id for one in read_rotation_state(self.hook, self.blueprint).candidates])
        except OpenSearchMLError as worse:
            serves = "the model was switched" if served_new else "the old one serves"
            return f"{serves}, and the rest is left to the next run, because undoing it failed too: {worse.cause}"
        return f"the old one serves, and {'; '.join(left) or 'nothing is left behind'}"

    def prove_back(self, switch: Switch) -> None:
        limit_s = self.limits.serve_s
        if nodes := prove.until_every_node_serves(self.hook, self.model_id, switch.before, timeout_s=limit_s):
            prove.ask(self.hook, self.blueprint, self.model_id, self.limits.proof_predicts * nodes)

    def take_away(self, ids: list[str]) -> list[str]:
        """Delete canaries and candidates; return what had to be left."""
        with self.step(Step.UNDEPLOY_CANARY):
            candidate.undeploy_canaries(self.hook, self.blueprint.name)
        with self.step(Step.DELETE_CANARY):
            self.lease.release()
            candidate.delete_canaries(self.hook, self.blueprint.name)
        with self.step(Step.DELETE_CANDIDATE):
            left = candidate.delete_connectors(self.hook, ids)
        self.details += left
        return left
