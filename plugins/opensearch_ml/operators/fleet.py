"""Operators that make a cluster agree with its target: plan, have it approved, apply it, and tell what became of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from opensearch_ml import assets
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog import folders
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators.base import fail_fast, what_is_next
from opensearch_ml.operators.handover import RETURNED, Failure, flat, is_true, pulled, token_of
from opensearch_ml.operators.owed import Owed
from opensearch_ml.reconcile import render, report
from opensearch_ml.reconcile.apply import AT_ONCE, apply_stage
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import Approved, approved
from opensearch_ml.reconcile.limits import Limits, too_much
from opensearch_ml.reconcile.planning import plan_for
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.resources.changes import LAST_STAGE, Change, Kind, Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = [
    "APPLY",
    "BATCHES_AT_ONCE",
    "DELETIONS",
    "NEVER",
    "SETTINGS",
    "OpenSearchAnnounceModelsOperator",
    "OpenSearchApplyPlanOperator",
    "OpenSearchApprovePlanOperator",
    "OpenSearchFleetOperator",
    "OpenSearchPlanFleetOperator",
    "group_of",
]

NEVER, WITH_APPROVAL, ALWAYS = APPLY = ("never", "with approval", "always")
PLANNED, SETTINGS, DELETIONS = "opensearch_ml_plan", "settings", "deletions"
APPROVED, RESULTS = "opensearch_ml_approved", "opensearch_ml_results"
NOT_ASKED = {"target": ""}
NOBODY = "nobody, in time"
ANSWER_WITHIN = timedelta(days=1)
BATCHES_AT_ONCE = 4  # on one cluster
BLOCKS_TOLD = 20
NOT_IN_A_GROUP_ID = re.compile(r"[^A-Za-z0-9_-]")
CHANGING = frozenset({Kind.UPDATE.value, Kind.SWAP.value})


def group_of(target: str) -> str:
    """Return the id of a target's group of tasks."""
    return NOT_IN_A_GROUP_ID.sub("-", target)


def rejected(by: str) -> str:
    """Return who rejected a plan; no answer within the time is Airflow's own."""
    return "rejected, because nobody answered in time" if by == NOBODY else f"rejected by {by}"


class OpenSearchFleetOperator(BaseOperator):
    """Base of the operators that work on all that a target names; the target names the connections too.

    :param target: the target's name: its file's stem (templated).
    """

    template_fields: Sequence[str] = ("target",)
    ui_color = "#cfe6d4"

    def __init__(self, *, target: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target

    @cached_property
    def fleet(self) -> tuple[Target, list[str]]:
        """The target, and the names of the blueprints that live there."""
        return folders.catalog().fleet(self.target)

    @cached_property
    def hook(self) -> OpenSearchMLHook:
        """The hook of who uses the models."""
        return OpenSearchMLHook(self.fleet[0].opensearch_conn_id)

    @cached_property
    def acting_hook(self) -> OpenSearchMLHook:
        """The hook of who may write what all models share."""
        named = self.fleet[0].opensearch_admin_conn_id
        return OpenSearchMLHook(named) if named and named != self.hook.opensearch_conn_id else self.hook

    def redact(self, text: str) -> str:
        """Return a text without the secrets that the hooks know."""
        known = [vars(self)[name] for name in ("hook", "acting_hook") if name in vars(self)]
        for hook in known:
            text = hook.redact(text)
        return text

    def tell(self, outcome: str) -> None:
        """Log what was seen or done, and what comes next."""
        self.log.info("%s: %s; next: %s", self.target, outcome, what_is_next(self))


class OpenSearchPlanFleetOperator(OpenSearchFleetOperator, SkipMixin):
    """Show what would change on a target's cluster; a few requests whatever the number of models, and no write.

    If nothing is to be applied, the tasks that depend on this one directly are skipped. A plan beyond the limits fails
    before anything is written.

    :param target: the target's name: its file's stem (templated).
    :param targets: which targets the run is for, as a list or with commas; none: all (templated).
    :param apply: ``never``, ``with approval`` or ``always`` (templated).
    :param prune: also delete what is ours and wanted no more (templated).
    :param max_deletions: how many blueprints' models a run may delete (templated).
    :param max_change_percent: how much of what stands on the cluster a run may change (templated).
    :param batch_size: how many blueprints one mapped task applies (templated).
    :return: batches of what may be applied, each a list of `Approved.as_list`.
    """

    template_fields: Sequence[str] = (
        *("targets", "apply", "prune", "max_deletions", "max_change_percent", "batch_size"),
        *OpenSearchFleetOperator.template_fields,
    )
    inherits_from_skipmixin = True

    def __init__(
        self,
        *,
        targets: Sequence[str] | str = (),
        apply: str = NEVER,
        prune: bool | str = False,
        max_deletions: int | str = 10,
        max_change_percent: float | str = 30.0,
        batch_size: int | str = 25,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inlets = [assets.fleet_of(self.target)]
        self.targets, self.apply, self.prune = targets, apply, prune
        self.max_deletions, self.max_change_percent, self.batch_size = max_deletions, max_change_percent, batch_size

    def execute(self, context: Context) -> list[list[Any]]:
        asked = self.targets.split(",") if isinstance(self.targets, str) else self.targets
        if any(asked) and self.target not in asked:
            context["ti"].xcom_push(key=PLANNED, value=NOT_ASKED)
            raise AirflowSkipException(f"the run is for other targets: {', '.join(asked)}")
        for key in (SETTINGS, DELETIONS):  # whoever takes one renders it, also after a plan that failed
            context["ti"].xcom_push(key=key, value=[])
        with Failure(self, context, ""):
            planned = self._plan(context)
        if planned is None:
            self.skip(context["ti"], context["task"].get_direct_relatives(upstream=False))
        return planned or []

    @fail_fast
    def _plan(self, context: Context) -> list[list[Any]] | None:
        """Tell the plan, leave it for the other tasks, and return the batches; None if nothing is to be applied."""
        if self.apply not in APPLY:
            raise AirflowFailException(f"apply is {self.apply!r}, and is one of {', '.join(APPLY)}")
        target, names = self.fleet
        catalog = folders.catalog()
        planned = plan_for(self.hook, catalog, target, names, admin=self.acting_hook, aws_conn_id=target.aws_conn_id)
        plan = planned.plan
        where = f"Target {self.target} ({self.hook.base_url}, OpenSearch {planned.version})"
        prune = is_true(self.prune)
        about_orphans = report.orphans(plan, prune=prune)
        self.log.info("%s", self.redact("\n".join([where, "", render.text(plan, width=120), about_orphans]).rstrip()))
        settings, changing, deletions = _parts(plan, prune=prune)
        limits = Limits(deletions=int(self.max_deletions), change_percent=float(self.max_change_percent))
        refusal = too_much(plan, limits, prune=prune)
        untold = [] if self.apply == NEVER else self._untold(plan, names)
        self._leave(context, plan, refusal, untold=len(untold))
        is_work = bool(settings or changing or deletions)
        if not (is_work or untold) or self.apply == NEVER:
            if refusal:
                self.log.warning("%s", refusal)
            self.log.info(
                "nothing is written: %s", f"apply is {self.apply}" if is_work else "there is nothing to apply"
            )
            return None
        if refusal:
            raise refusal
        ti = context["ti"]
        ti.xcom_push(key=SETTINGS, value=[one.as_list() for one in settings])
        ti.xcom_push(key=DELETIONS, value=[one.as_list() for one in deletions])
        changing += untold
        size = max(1, int(self.batch_size))
        batches = [changing[start : start + size] for start in range(0, len(changing), size)]
        self.tell(f"{render.summary(plan)}; blueprints to apply: {len(changing)}, in batches: {len(batches)}")
        return [[one.as_list() for one in batch] for batch in batches]

    def _untold(self, plan: Plan, names: Sequence[str]) -> list[Approved]:
        """Return those that are as they should be, and that a run may have made which died before it told of them."""
        owed = Owed(self.target)
        owed.settle(owed.names.difference(names))  # they live here no more
        untold = sorted(owed.names.intersection(plan.unchanged))
        if untold:
            self.log.info(
                "%d that an earlier run changed, and ended before it told of them, are asked and told of: %s",
                *(len(untold), ", ".join(untold)),
            )
        # Made or changed: nobody knows. There is nothing that somebody has seen of either.
        kinds = (Kind.CREATE.value, Kind.SWAP.value)
        return [Approved(name, kinds, " ".join("" for _ in kinds)) for name in untold]

    def _leave(
        self, context: Context, plan: Plan, refusal: OpenSearchMLError | None = None, *, untold: int = 0
    ) -> None:
        prune = is_true(self.prune)
        told = render.as_dict(plan)
        left: dict[str, Any] = {
            **told,
            "unchanged": told["unchanged"] - untold,  # these have a row of their own
            "apply": self.apply,
            "work": report.work(plan, prune=prune),
            "stopped": report.stopped(plan),
            "orphans": report.orphans(plan, prune=prune),
            "refusal": refusal.cause if refusal else "",
            "text": render.text(plan, width=120, blocks=BLOCKS_TOLD),
        }
        if self.apply == WITH_APPROVAL and left["work"]:
            left["markdown"] = render.markdown(plan, orphans=left["orphans"])
        context["ti"].xcom_push(key=PLANNED, value=_each_text(left, self.redact))


class OpenSearchApprovePlanOperator(ApprovalOperator):
    """Ask a person whether a plan is to be applied, in Airflow's page of required actions; no worker waits meanwhile.

    With ``apply`` ``always`` nobody is asked. Whoever does not answer within a day has rejected it.

    :param target: the target's name (templated).
    :param plan_task_id: task of `OpenSearchPlanFleetOperator` (templated).
    :param apply: ``with approval`` or ``always`` (templated).
    """

    template_fields: Sequence[str] = ("target", "plan_task_id", "apply")
    ui_color = "#cfe6d4"

    def __init__(self, *, target: str, plan_task_id: str, apply: str = WITH_APPROVAL, **kwargs: Any) -> None:
        asked = {"subject": "", "response_timeout": ANSWER_WITHIN, "defaults": self.REJECT}
        super().__init__(**{**asked, **kwargs})
        self.inlets = [assets.fleet_of(target)]
        self.target, self.plan_task_id, self.apply = target, plan_task_id, apply

    def execute(self, context: Context) -> None:
        if self.apply == ALWAYS:
            self.log.info("%s: nobody is asked, because apply is %s", self.target, ALWAYS)
            self._approved(context, f"parameter apply: {ALWAYS}")
            return
        planned = pulled(context, self.plan_task_id, PLANNED)
        if self.apply != WITH_APPROVAL or not planned:
            raise AirflowSkipException("there is no plan that somebody could approve")
        if not planned[0]["work"]:
            self.log.info("%s: nobody is asked, because nothing is written: models are asked and told of", self.target)
            self._approved(context, "nobody: nothing is written")
            return
        # What others have written into a cluster is shown here, and is never a template.
        self.subject = f"{self.target}: {planned[0]['summary']}"
        self.body = planned[0]["markdown"]
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        is_approved = event.get("chosen_options") == [self.APPROVE]
        by = (event.get("responded_by_user") or {}).get("name") or NOBODY
        self.log.info("%s: the plan was %s", self.target, f"approved by {by}" if is_approved else rejected(by))
        self._approved(context, by, is_approved=is_approved)
        return super().execute_complete(context, event)

    def _approved(self, context: Context, by: str, *, is_approved: bool = True) -> None:
        if is_approved:  # from here on models appear and change, and whoever is scheduled on them is to be told
            changing = flat(flat(pulled(context, self.plan_task_id, RETURNED)))
            Owed(self.target).add(Approved.of_list(one).what for one in changing)
        context["ti"].xcom_push(key=APPROVED, value={"approved": is_approved, "by": by})


class OpenSearchApplyPlanOperator(OpenSearchFleetOperator):
    """Do what was approved, as far as it still stands to be done; one failure keeps nobody else from his own.

    It fails in the end if something failed, and is not tried again for that: the next run plans anew. A try after a
    killed one goes on where that one stopped.

    :param target: the target's name: its file's stem (templated).
    :param approved: a list of `Approved.as_list`, of one stage of the plan (templated).
    :param approve_task_id: task of `OpenSearchApprovePlanOperator`; without its approval nothing is done (templated).
    :param at_once: how many blueprints at once, at most (templated).
    :return: how many had which outcome.
    """

    template_fields: Sequence[str] = (
        *("approved", "approve_task_id", "at_once"),
        *OpenSearchFleetOperator.template_fields,
    )
    ui_color = "#f2d8a7"

    def __init__(
        self, *, approved: Sequence[Any], approve_task_id: str, at_once: int | str = AT_ONCE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.approved, self.approve_task_id, self.at_once = approved, approve_task_id, at_once

    @property
    def names(self) -> str:
        """What it is about, for the list of mapped tasks."""
        names = [one[0] for one in self.approved]
        return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})" if names else "nothing"

    def execute(self, context: Context) -> dict[str, int]:
        answers = pulled(context, self.approve_task_id, APPROVED)
        if not answers or not answers[0]["approved"]:
            raise AirflowSkipException("the plan was not approved")
        if not self.approved:
            raise AirflowSkipException("the plan has nothing of this")
        with Failure(self, context, ""):
            done = self._apply(context)
        failed = [one for one in done if one.outcome is Outcome.FAILED]
        self.tell(f"{len(done) - len(failed)} of {len(done)} without a failure")
        if failed:
            causes = "\n".join(f"{one.what}: {one.told}" for one in failed)
            raise AirflowFailException(f"{len(failed)} of {len(done)} failed\n{causes}")
        return report.counts(report.rows([(self._approvals, [one.as_dict() for one in done])], ()))

    @property
    def _approvals(self) -> list[Approved]:
        return [Approved.of_list(one) for one in self.approved]

    @fail_fast
    def _apply(self, context: Context) -> list[Applied]:
        admin = None if self.acting_hook is self.hook else self.acting_hook
        target = self.fleet[0]
        results = _Results(self, context)
        applying = ApplyContext(self.hook, folders.catalog(), target, admin, target.aws_conn_id, token_of(context))
        apply_stage(applying, self._approvals, at_once=int(self.at_once), on_done=results.add)
        return list(results.all.values())


class OpenSearchAnnounceModelsOperator(OpenSearchFleetOperator):
    """Make an event of the asset of each model that appeared or changed, for whoever is scheduled on it.

    :param target: the target's name: its file's stem (templated).
    :param apply_task_id: task of `OpenSearchApplyPlanOperator`, which may have failed for some (templated).
    """

    template_fields: Sequence[str] = ("apply_task_id", *OpenSearchFleetOperator.template_fields)

    def __init__(self, *, apply_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inlets = [assets.fleet_of(self.target)]
        self.apply_task_id = apply_task_id

    def execute(self, context: Context) -> None:
        results = [Applied.of_dict(one) for one in flat(pulled(context, self.apply_task_id, RESULTS))]
        told = [one for one in results if one.model_id and self._is_news(one)]
        for one in told:
            assets.announce(context, assets.asset_of(self.target, one.what), one.model_id, one.kinds)
        # Of what failed, or nobody got to, an event goes on to be owed: the next run may find it made.
        Owed(self.target).settle(one.what for one in results if one.outcome in (Outcome.DONE, Outcome.UNCHANGED))
        if not told:
            raise AirflowSkipException("no model appeared or changed")
        self.tell(f"told of {len(told)} models: {', '.join(one.what for one in told)}")

    def _is_news(self, one: Applied) -> bool:
        if one.outcome is not Outcome.UNCHANGED:
            return one.outcome is Outcome.DONE
        # A killed try, or run, may have done it, and had no time to say so. What has changed keeps its id: it is rather
        # told of twice than never.
        is_told = assets.was_announced(assets.asset_of(self.target, one.what), one.model_id)
        return not is_told or not CHANGING.isdisjoint(one.kinds)


class _Results:
    """What is done so far: kept where the summary finds it, whatever ends the task, and where the next try does."""

    def __init__(self, operator: OpenSearchFleetOperator, context: Context) -> None:
        self.operator = operator
        self.ti = context["ti"]
        self.store = cast(Any, context["task_state_store"])
        # Of earlier tries; to the next one what they did is unchanged.
        self.before: dict[str, Applied] = {one["what"]: Applied.of_dict(one) for one in self.store.get(RESULTS, [])}
        self.all: dict[str, Applied] = {}

    def add(self, result: Applied, count: int, of: int) -> None:
        """Log a result and keep it."""
        result = replace(result, told=self.operator.redact(result.told))
        level = logging.ERROR if result.outcome is Outcome.FAILED else logging.INFO
        self.operator.log.log(level, "%d of %d: %s %s: %s", count, of, result.what, result.outcome.value, result.told)
        if result.outcome is Outcome.UNCHANGED:
            result = self.before.get(result.what, result)
        self.all[result.what] = result
        self.ti.xcom_push(key=RESULTS, value=[one.as_dict() for one in self.all.values()])
        if result.outcome is Outcome.DONE:
            self.before[result.what] = result
            self.store.set(RESULTS, [one.as_dict() for one in self.before.values()])


def _parts(plan: Plan, *, prune: bool) -> tuple[list[Approved], list[Approved], list[Approved]]:
    """Return what may be applied: of the cluster, of the blueprints, and what is deleted."""
    found: tuple[list[tuple[Change, ...]], ...] = ([], [], [])
    for stage in plan.stages():
        for changes in stage:
            at = 0 if changes[0].kind is Kind.SETTINGS else 2 if changes[0].kind in LAST_STAGE else 1
            wanted = tuple(one for one in changes if prune or one.kind is not Kind.ORPHAN)
            if wanted:
                found[at].append(wanted)
    settings, changing, deletions = (approved(part) for part in found)
    return settings, changing, deletions


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return what JSON holds, with every text in it changed; keys are our own."""
    if isinstance(value, dict):
        return {key: _each_text(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_each_text(one, change) for one in value]
    return change(value) if isinstance(value, str) else value
