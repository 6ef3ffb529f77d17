"""Applying a plan: what was approved is done, a stage at a time, and one failure keeps nobody else from his own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from opensearch_ml.client.documents import ModelDoc
from opensearch_ml.credentials import resolver
from opensearch_ml.errors import Final, OpenSearchMLError, Transient, Unreachable
from opensearch_ml.reconcile import actions, pruning
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.bulk_create import Making, make
from opensearch_ml.reconcile.concurrency import each
from opensearch_ml.reconcile.planning import Planned, plan_for
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.reconcile.staleness import decide
from opensearch_ml.resources.changes import LAST_STAGE, Change, Kind
from opensearch_ml.resources.rotation_state import tellable
from opensearch_ml.retries import until_effective
from opensearch_ml.rotation.sources import supply_for
from opensearch_ml.steps.cluster_settings import remove_trusted_endpoints, trusted_for
from opensearch_ml.steps.explain import explain

log = logging.getLogger(__name__)

AT_ONCE = 2
WAITING = 64  # swaps that wait for calls in flight to end, on top of those that do something
TOLD_CHARACTERS = 1_000


def apply_stage(
    applying: ApplyContext,
    approved: Sequence[Approved],
    *,
    at_once: int = AT_ONCE,
    on_done: Callable[[Applied, int, int], None],
) -> list[Applied]:
    """Look once, and do what stands to be done now of what was approved.

    :param approved: of one stage of `Plan.stages`; what is about one blueprint is done in order, blueprints at once.
    :param at_once: how many blueprints at once; a swap in its grace period does not count.
    :param on_done: called in this thread after each, with (what was done, how many are done, how many there are).
    :return: in the order of `approved`, one for each.
    :raises OpenSearchMLError: the cluster could not be looked at; nothing was written.
    """
    if not approved:
        return []
    return _Stage(applying, approved, at_once, on_done).run()


class _Busy(Exception):  # noqa: N818 (it is no error: another run works)
    """Another run is at it."""


class _Stage:
    """One stage: what stands to be done, and what was."""

    def __init__(
        self,
        applying: ApplyContext,
        approved: Sequence[Approved],
        at_once: int,
        on_done: Callable[[Applied, int, int], None],
    ) -> None:
        self.applying, self.at_once, self.on_done = applying, at_once, on_done
        self.approved = {one.what: one for one in approved}
        self.planned = self.look()
        self.ended: dict[str, Applied] = {}
        self.todo: dict[str, tuple[Change, ...]] = {}
        self.told: dict[str, list[str]] = {what: [] for what in self.approved}
        self.models = {what: self.model_of(what) for what in self.approved}
        self.resolved: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def look(self) -> Planned:
        """Look at the cluster, for the blueprints that are concerned.

        What is trusted, and what is an orphan, all blueprints of the target decide.
        """
        applying = self.applying
        _, names = applying.catalog.fleet(applying.target.name)
        kinds = {Kind(kind) for one in self.approved.values() for kind in one.kinds}
        whole = bool(kinds & {Kind.SETTINGS, *LAST_STAGE})
        return plan_for(
            applying.hook,
            applying.catalog,
            applying.target,
            [name for name in names if whole or name in self.approved],
            admin=applying.admin,
            aws_conn_id=applying.aws_conn_id,
            token=tellable(applying.token),
        )

    def run(self) -> list[Applied]:
        to_ask = self.decide()
        self.do({what: partial(self.ask, what) for what in to_ask})
        self.do_changes(Kind.SETTINGS)
        self.do_changes(Kind.ROLE)
        self.make()
        self.do_changes(Kind.CREATE, Kind.ADOPT, Kind.UPDATE, Kind.REDEPLOY)
        self.do_changes(Kind.SWAP, Kind.CLEAN, threads=self.at_once + WAITING)
        self.do_changes(Kind.ORPHAN)
        self.stop_trusting()
        for what in self.todo:
            self.end(what, Outcome.DONE, "; ".join(self.told[what]))
        return [self.ended[what] for what in self.approved]

    def decide(self) -> list[str]:
        """Put down what is to be done; return whom to ask because they are there already."""
        to_ask = []
        for what, one in self.approved.items():
            decision = decide(one, self.planned.plan, self.models[what])
            if decision.outcome is None:
                self.todo[what] = decision.changes
            elif decision.ask and what in self.planned.blueprints:
                to_ask.append(what)
            else:
                self.end(what, decision.outcome, decision.told)
        return to_ask

    # ---- doing it

    def do_changes(self, *kinds: Kind, threads: int = 0) -> None:
        """Do the changes of some kinds, in order for each blueprint; who fails is out."""
        turns, is_stopped = threading.BoundedSemaphore(self.at_once), threading.Event()
        work = {what: [one for one in self.todo[what] if one.kind in kinds] for what in self.open}

        def do(what: str) -> str:
            with turns:
                if is_stopped.is_set():
                    raise CancelledError
                for change in work[what]:
                    self.told[what].append(self.do_one(change, turns))
            return "; ".join(self.told[what])

        try:
            self.do({what: partial(do, what) for what in work if work[what]}, threads, *kinds)
        except BaseException:  # the task is ended from outside: a swap that waits for its turn must not begin
            is_stopped.set()
            raise

    @property
    def open(self) -> list[str]:
        return [what for what in self.todo if what not in self.ended]

    def do(self, calls: Mapping[str, Callable[[], str]], threads: int = 0, *kinds: Kind) -> None:
        def then(what: str, result: Any) -> None:
            if isinstance(result, Exception):
                self.fail(what, result)
            elif what not in self.todo:
                self.end(what, Outcome.UNCHANGED, result)
            elif self.todo[what][-1].kind in kinds and Kind.ORPHAN not in kinds:
                self.end(what, Outcome.DONE, result)

        each({what: partial(self.patiently, call) for what, call in calls.items()}, threads or self.at_once, then)

    def patiently(self, call: Callable[[], str]) -> str:
        """Call, wait for what IAM has not spread yet, and explain a refusal."""

        def attempt() -> str:
            try:
                return call()
            except (Final, Unreachable) as error:
                raise self.explained(error) from error

        return until_effective(attempt)

    def do_one(self, change: Change, turns: threading.Semaphore) -> str:
        applying = self.applying
        if change.kind is Kind.SETTINGS:
            return actions.mend_cluster(applying, change, self.planned.target, self.planned.blueprints)
        if change.kind is Kind.ORPHAN:
            return "; ".join(pruning.prune(applying.hook, change))
        blueprint = self.planned.blueprints[change.what]
        if change.kind is Kind.ROLE:
            return actions.mend_role(applying, blueprint)
        if change.kind is Kind.CREATE:
            told, model_id = actions.provision(applying, blueprint)
            self.models[change.what] = {"id": model_id}
            return told
        if change.kind is Kind.ADOPT:
            return actions.adopt(applying, blueprint, change)
        if change.kind is Kind.UPDATE:
            return actions.update(applying, blueprint, change)
        if change.kind is Kind.REDEPLOY:
            return actions.redeploy(applying, blueprint, change.models[0])
        done = actions.swap(applying, blueprint, turns)
        if done.outcome == "busy":
            raise _Busy(str(done))
        return str(done)

    def ask(self, what: str) -> str:
        # A killed try, or another run, may have made it, and not have got as far as to ask it.
        told = actions.ask(self.applying, self.planned.blueprints[what], self.model_id(what))
        return f"it is as it should be already; {told}"

    def make(self) -> None:
        """Make what is not there at all, many at once; what is begun, or fails, is left to `actions.provision`."""
        wanted: dict[str, Making] = {}
        for what in self.open:
            if [(one.kind, one.models, one.connectors) for one in self.todo[what] if one.kind is not Kind.ROLE] != [
                (Kind.CREATE, (), ())
            ]:
                continue
            try:
                wanted[what] = self.making(what)
            except OpenSearchMLError as error:
                self.fail(what, error)

        def start(one: Making) -> str:
            self.models[one.blueprint.name] = {"id": one.model_id}
            return actions.deploy_and_ask(self.applying, one.blueprint, one.model_id)

        def on_end(what: str, result: str | Exception) -> None:
            if isinstance(result, str):
                self.end(what, Outcome.DONE, "; ".join([*self.told[what], f"created; {result}"]))
                return
            explained = self.explained(result) if isinstance(result, OpenSearchMLError) else result
            if not isinstance(explained, Transient):
                self.fail(what, explained)

        if wanted:
            crew = partial(each, at_once=self.at_once)
            make(self.applying.hook, wanted, crew, start=start, on_end=on_end)

    def making(self, what: str) -> Making:
        blueprint, hook, aws_conn_id = self.planned.blueprints[what], self.applying.hook, self.applying.aws_conn_id
        # A secrets backend takes 40 ms for each, and a fleet shares a few.
        references = tuple(sorted((key, str(value)) for key, value in blueprint.connector.credential.items()))
        if references not in self.resolved:
            self.resolved[references] = resolver.resolve(blueprint, hook, aws_conn_id=aws_conn_id)
        return Making(blueprint, self.resolved[references], supply_for(blueprint, hook, aws_conn_id))

    def stop_trusting(self) -> None:
        """Trust no more what we trusted for connectors that are deleted: once for all, as it asks for every URL."""
        deleted = [one for what in self.open for one in self.todo[what] if one.kind is Kind.ORPHAN]
        patterns = trusted_for(pruning.connectors_of(self.planned.cluster.fleet, deleted))
        if not patterns:
            return
        try:
            log.info("%s", remove_trusted_endpoints(self.applying.acting, patterns))
        except OpenSearchMLError as error:
            for change in deleted:
                self.told[change.what].append(f"the cluster goes on to trust its URLs: {error.cause}")

    # ---- how it ended

    def fail(self, what: str, error: Exception) -> None:
        if isinstance(error, _Busy):
            self.end(what, Outcome.BUSY, str(error))
            return
        if not isinstance(error, OpenSearchMLError):
            log.error("%s: an error that nobody foresaw", what, exc_info=error)
            self.end(what, Outcome.FAILED, f"an error that nobody foresaw: {type(error).__name__}: {error}")
            return
        done = "".join(f"{one}; then " for one in self.told[what])
        self.end(what, Outcome.FAILED, f"{done}{error.cause}; evidence: {error.evidence}; fix: {error.fix}")

    def end(self, what: str, outcome: Outcome, told: str) -> None:
        if what in self.ended:
            return
        hook = self.applying.acting
        line = " ".join(self.applying.hook.redact(hook.redact(told)).split())
        line = line if len(line) <= TOLD_CHARACTERS else f"{line[: TOLD_CHARACTERS - 1]}…"
        changes = self.todo.get(what, ())
        kinds = tuple(dict.fromkeys(one.kind.value for one in changes)) or self.approved[what].kinds
        self.ended[what] = Applied(what, kinds, outcome, line, self.model_id(what))
        self.on_done(self.ended[what], len(self.ended), len(self.approved))

    def explained(self, error: OpenSearchMLError) -> OpenSearchMLError:
        return explain(explain(error, self.applying.acting), self.applying.hook)

    def model_id(self, what: str) -> str:
        return str((self.models[what] or {}).get("id") or "")

    def model_of(self, what: str) -> ModelDoc | None:
        blueprint = self.planned.blueprints.get(what)
        if blueprint is None or blueprint.connector.is_mcp:
            return None
        return self.planned.cluster.fleet.rotation_state(blueprint).model
