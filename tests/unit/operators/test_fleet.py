"""The reconciliation's operators, as far as no cluster is needed: what is skipped, refused, kept and told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
    TaskAwaitingInput,
)

from opensearch_ml import assets, notifications
from opensearch_ml.blueprint.target import Target
from opensearch_ml.errors import InvalidTarget, OpenSearchMLError, PermissionDenied, Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators import fleet, owed
from opensearch_ml.operators.fleet import (
    APPROVED,
    DELETIONS,
    NOT_ASKED,
    PLANNED,
    RESULTS,
    SETTINGS,
    OpenSearchAnnounceModelsOperator,
    OpenSearchApplyPlanOperator,
    OpenSearchApprovePlanOperator,
    OpenSearchPlanFleetOperator,
    group_of,
)
from opensearch_ml.operators.fleet_summary import OpenSearchSummarizeFleetOperator
from opensearch_ml.operators.handover import FAILURE, RETURNED
from opensearch_ml.operators.owed import OWED
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.limits import Limits, too_much
from opensearch_ml.reconcile.planning import Planned
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan
from opensearch_ml.resources.inventory import Cluster, Fleet
from tests.support.doubles import TaskInstanceDouble, as_context

TARGET = "production"
CREATED = [Change(Kind.CREATE, f"model_{index}", "it has no model here") for index in range(5)]
TRUSTED = Change(Kind.SETTINGS, "trusted endpoints", differences=(Difference("x", None, "^https://a$"),))
LEFT = Change(Kind.CLEAN, "model_0", "a rotation was killed", connectors=("Ab3",))
OLD = Change(Kind.ORPHAN, "old", "no blueprint of that name lives here", models=("Zz1",))
TYPO = Change(Kind.BROKEN, "typo", "its file has 2 findings", fix="write client_config")
SUMMARY_OF = {
    "plan_task_id": "plan",
    "approve_task_id": "approve",
    "settings_task_id": "settings",
    "apply_task_id": "apply",
    "delete_task_id": "delete",
}


class Store(dict[str, Any]):
    """What Airflow keeps: for a task, which its retries share, or with an asset."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


@dataclass
class Run:
    """A run, and what has started it."""

    run_type: str = "scheduled"


class Task:
    """What a task's context knows of the DAG."""

    def get_direct_relatives(self, upstream: bool) -> list[BaseOperator]:
        return [BaseOperator(task_id="approve"), BaseOperator(task_id="apply")]


def context(xcoms: dict[tuple[str, str], list[Any]] | None = None, task_id: str = "plan") -> dict[str, Any]:
    ti = TaskInstanceDouble(xcoms or {}, task_id=task_id, map_index=-1)
    return {"ti": ti, "task": Task(), "task_state_store": Store(), "dag_run": Run()}


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("blueprints", "targets"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"AIRFLOW__OPENSEARCH_ML__{name.upper()}_FOLDER", str(tmp_path / name))
    for name in ("model_0", "right"):
        (tmp_path / "blueprints" / f"{name}.yaml").write_text("connector: {}")
    (tmp_path / "targets" / f"{TARGET}.yaml").write_text(
        "{opensearch_conn_id: search, opensearch_admin_conn_id: master, aws_conn_id: aws, blueprints: ['*']}"
    )
    monkeypatch.setattr(OpenSearchMLHook, "base_url", "https://search.example.com:443")
    monkeypatch.setattr(fleet, "what_is_next", lambda operator: "")
    monkeypatch.setattr("opensearch_ml.operators.base.explain", lambda error, hook: error)


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Store:
    """What outlives the runs for the target."""
    stores: dict[str, Store] = defaultdict(Store)
    monkeypatch.setattr(owed, "AssetStateStoreAccessor", lambda name: stores[name])
    return stores[f"opensearch-ml://{TARGET}"]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs `plan` on a cluster that has these changes; returns the context, and what is mapped over in it."""

    def run(*changes: Change, standing: int = 0, **arguments: Any) -> dict[str, Any]:
        plan = Plan(TARGET, len(changes), changes, ("right",), standing=standing)
        monkeypatch.setattr(fleet, "plan_for", lambda *given, **more: made_of(plan))
        given = context()
        operator = OpenSearchPlanFleetOperator(task_id="plan", target=TARGET, **arguments)
        given["batches"] = operator.execute(as_context(given))
        return given

    return run


def made_of(plan: Plan) -> Planned:
    return Planned(plan, {}, Cluster(Fleet((), (), (3, 6, 0))), Target(name=TARGET))


def left(given: dict[str, Any], key: str) -> Any:
    return given["ti"].xcom_pull(task_ids=given["ti"].task_id, key=key)


# ---- the plan


def test_a_plan_to_apply_is_cut_into_stages_and_batches(planned: Callable[..., dict[str, Any]]) -> None:
    done = planned(TRUSTED, *CREATED, LEFT, OLD, TYPO, apply="always", batch_size="2")
    assert [[one[0] for one in batch] for batch in done["batches"]] == [
        ["model_0", "model_1"],
        ["model_2", "model_3"],
        ["model_4"],
    ]
    assert [Approved.of_list(one).kinds for one in left(done, SETTINGS)] == [("settings",)]
    assert [Approved.of_list(one).what for one in left(done, DELETIONS)] == ["model_0"]  # an orphan only with prune
    assert left(done, PLANNED)["stopped"] == [["broken", "typo", "its file has 2 findings\n  fix: write client_config"]]


def test_orphans_are_deleted_only_with_prune(planned: Callable[..., dict[str, Any]]) -> None:
    done = planned(LEFT, OLD, apply="always", prune="True")
    assert [one[0] for one in left(done, DELETIONS)] == ["model_0", "old"]
    with pytest.raises(DownstreamTasksSkipped):
        planned(OLD, apply="always", prune="False")


@pytest.mark.parametrize(
    ("changes", "apply"), [((), "always"), ((TYPO,), "always"), ((TRUSTED, *CREATED), "never"), ((TYPO,), "never")]
)
def test_where_nothing_is_applied_everything_but_the_summary_is_skipped(
    planned: Callable[..., dict[str, Any]], changes: Sequence[Change], apply: str
) -> None:
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        planned(*changes, apply=apply)
    assert skipped.value.tasks == ["approve", "apply"]


def test_another_targets_run_is_skipped(planned: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(AirflowSkipException, match="other targets: staging"):
        planned(*CREATED, targets="staging")
    assert planned(*CREATED, targets=f"staging,{TARGET}", apply="always")["batches"]


def test_a_plan_beyond_the_limits_is_refused_only_if_it_would_be_applied(
    planned: Callable[..., dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    swaps = [Change(Kind.SWAP, f"model_{index}") for index in range(6)]
    with pytest.raises(AirflowFailException, match="6 of 10 models on production would change"):
        planned(*swaps, standing=10, apply="with approval")
    with pytest.raises(DownstreamTasksSkipped):
        planned(*swaps, standing=10, apply="never")
    assert planned(*swaps, standing=10, apply="always", max_change_percent="60")["batches"]
    many = [Change(Kind.ORPHAN, f"old_{index}") for index in range(3)]
    with pytest.raises(AirflowFailException, match="3 orphans on production would be deleted"):
        planned(*many, standing=100, apply="always", prune=True, max_deletions="2")


def test_no_secret_that_a_source_told_is_left_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "canary-Qm6"
    told = Change(Kind.BROKEN, "chat", f"AWS refused {secret}", (Difference("a", secret, "b"),), fix=f"see {secret}")

    def plan_for(hook: OpenSearchMLHook, *given: object, **more: object) -> Planned:
        hook.keep_secret([secret])
        return made_of(Plan(TARGET, 1, (told, *CREATED), ()))

    monkeypatch.setattr(fleet, "plan_for", plan_for)
    given = context()
    OpenSearchPlanFleetOperator(task_id="plan", target=TARGET, apply="with approval").execute(as_context(given))
    planned = left(given, PLANNED)
    assert secret not in repr(planned)
    assert "AWS refused ***" in repr(planned["stopped"])
    assert "AWS refused ***" in repr(planned["changes"])


@pytest.mark.parametrize(
    ("error", "raised"),
    [(PermissionDenied, AirflowFailException), (Unreachable, Unreachable)],
    ids=["final", "passing"],
)
def test_what_ends_a_plan_is_left_for_the_summary(
    monkeypatch: pytest.MonkeyPatch, error: type[OpenSearchMLError], raised: type[Exception]
) -> None:
    def fails(hook: OpenSearchMLHook, *given: object, **more: object) -> None:
        hook.keep_secret(["canary-Jw4"])
        raise error("refused", evidence="403 canary-Jw4", fix="ask an administrator")

    monkeypatch.setattr(fleet, "plan_for", fails)
    given = context()
    with pytest.raises(raised):
        OpenSearchPlanFleetOperator(task_id="plan", target=TARGET).execute(as_context(given))
    assert left(given, SETTINGS) == left(given, DELETIONS) == []  # `delete` renders it, to see that it is skipped
    assert left(given, FAILURE)["told"] == "refused\n  evidence: 403 ***\n  fix: ask an administrator"


def test_a_target_that_is_not_there_ends_the_plan_with_the_names_that_are() -> None:
    given = context()
    with pytest.raises(AirflowFailException, match="Did you mean production"):
        OpenSearchPlanFleetOperator(task_id="plan", target="prodution").execute(as_context(given))
    assert "Did you mean production" in left(given, FAILURE)["told"]


def test_a_target_names_its_own_connections() -> None:
    made = OpenSearchPlanFleetOperator(task_id="plan", target=TARGET)
    assert (made.hook.opensearch_conn_id, made.acting_hook.opensearch_conn_id) == ("search", "master")
    assert made.fleet[0].aws_conn_id == "aws"


@pytest.mark.parametrize(("name", "group"), [("production", "production"), ("eu.west 1", "eu-west-1")])
def test_any_name_of_a_file_makes_a_group(name: str, group: str) -> None:
    assert group_of(name) == group


# ---- the approval


def approve(apply: str, given: dict[str, Any]) -> OpenSearchApprovePlanOperator:
    made = OpenSearchApprovePlanOperator(task_id="approve", target=TARGET, plan_task_id="plan", apply=apply)
    made.execute(as_context(given))
    return made


def test_nobody_is_asked_where_always_is_said() -> None:
    given = context(task_id="approve")
    approve("always", given)
    assert left(given, APPROVED) == {"approved": True, "by": "parameter apply: always"}


def test_a_person_is_shown_the_plan_as_it_is_and_templates_in_it_stay_text(
    planned: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = Change(Kind.ORPHAN, "{{ conn.search.password }}", "left")
    done = planned(CREATED[0], hostile, apply="with approval")
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **told: asked.update(told)
    )
    ti = TaskInstanceDouble({("plan", PLANNED): [left(done, PLANNED)]}, task_id="approve")
    vars(ti)["id"] = "1"
    with pytest.raises(TaskAwaitingInput) as waiting:
        approve("with approval", {"ti": ti, "task_instance": ti})
    assert asked["subject"] == "production: Plan: 1 to create, 1 orphan; 1 unchanged"
    assert "conn.search.password" in asked["body"]
    assert "1 orphan stays, because only a run with parameter prune deletes it" in asked["body"]
    assert (asked["options"], asked["defaults"]) == (["Approve", "Reject"], ["Reject"])
    assert waiting.value.timeout == fleet.ANSWER_WITHIN
    assert {"subject", "body"}.isdisjoint(OpenSearchApprovePlanOperator.template_fields)


@pytest.mark.parametrize(
    ("answer", "by"), [("Reject", {"id": "1", "name": "ada"}), ("Reject", None), ("Approve", None)]
)
def test_the_answer_is_kept_with_who_gave_it_and_what_was_rejected_is_owed_to_nobody(
    answer: str, by: dict[str, str] | None, kept: Mapping[str, Any]
) -> None:
    given = context({("plan", RETURNED): [[[["model_0", ["create"], ""]]]]}, "approve")
    event: dict[str, Any] = {"chosen_options": [answer], "params_input": {}, "responded_by_user": by}
    event["responded_at"] = datetime.now(timezone.utc)
    made = OpenSearchApprovePlanOperator(task_id="approve", target=TARGET, plan_task_id="plan")
    made.downstream_task_ids.add("settings")
    if answer == "Reject":
        with pytest.raises(DownstreamTasksSkipped):
            made.execute_complete(as_context(given), event)
    else:
        made.execute_complete(as_context(given), event)
    assert left(given, APPROVED) == {"approved": answer == "Approve", "by": by["name"] if by else "nobody, in time"}
    assert kept == ({OWED: ["model_0"]} if answer == "Approve" else {})


# ---- applying


def applied(
    monkeypatch: pytest.MonkeyPatch,
    results: Sequence[Applied],
    given: dict[str, Any],
    names: Sequence[str] = ("a", "b"),
) -> dict[str, int]:
    def stage(
        applying: ApplyContext,
        approved: Sequence[Approved],
        *,
        at_once: int,
        on_done: Callable[[Applied, int, int], None],
    ) -> list[Applied]:
        assert [one.what for one in approved] == list(names)
        assert (applying.token, at_once) == ("rotation/manual/apply/-1", 2)
        for index, one in enumerate(results, 1):
            on_done(one, index, len(names))
        return list(results)

    monkeypatch.setattr(fleet, "apply_stage", stage)
    given["ti"].xcoms.setdefault(("approve", APPROVED), [{"approved": True, "by": "ada"}])
    asked = [[name, ["create"], ""] for name in names]
    return OpenSearchApplyPlanOperator(
        task_id="apply", target=TARGET, approved=asked, approve_task_id="approve"
    ).execute(as_context(given))


DONE = Applied("a", ("create",), Outcome.DONE, "model Xy9 answers", "Xy9")
FAILED = Applied("b", ("swap",), Outcome.FAILED, "refused\n  evidence: 401\n  fix: correct the key")


def test_a_failure_ends_the_task_after_everything_was_tried_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = context(task_id="apply")
    with pytest.raises(AirflowFailException, match="1 of 2 failed\nb: refused\n  evidence: 401"):
        applied(monkeypatch, [FAILED, DONE], given)
    assert [one["outcome"] for one in left(given, RESULTS)] == ["failed", "done"]


def test_what_a_killed_try_did_is_told_by_the_next_which_finds_it_done(monkeypatch: pytest.MonkeyPatch) -> None:
    given = context(task_id="apply")
    with pytest.raises(AirflowFailException):
        applied(monkeypatch, [DONE, FAILED], given)
    again = {**context(task_id="apply"), "task_state_store": given["task_state_store"]}
    found = [
        Applied("a", (), Outcome.UNCHANGED, "nothing to do", "Xy9"),
        Applied("b", (), Outcome.BUSY, "a run is at it"),
    ]
    assert applied(monkeypatch, found, again) == {"done": 1, "busy": 1}
    assert Applied.of_dict(left(again, RESULTS)[0]) == DONE


@pytest.mark.parametrize("answers", [[None], [{"approved": False, "by": "ada"}]])
def test_without_an_approval_nothing_is_applied(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> None:
    given = context({("approve", APPROVED): answers}, "apply")
    with pytest.raises(AirflowSkipException, match="not approved"):
        applied(monkeypatch, [DONE], given)


def test_a_stage_of_nothing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowSkipException, match="nothing of this"):
        applied(monkeypatch, [], context(task_id="apply"), names=[])


def test_a_cluster_that_cannot_be_looked_at_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def stage(*given: object, **more: object) -> None:
        raise Unreachable("no answer", evidence="time-out", fix="run again")

    monkeypatch.setattr(fleet, "apply_stage", stage)
    given = context({("approve", APPROVED): [{"approved": True, "by": "ada"}]}, "apply")
    made = OpenSearchApplyPlanOperator(
        task_id="apply", target=TARGET, approved=[["a", [], ""]], approve_task_id="approve"
    )
    with pytest.raises(Unreachable):
        made.execute(as_context(given))
    assert "no answer" in left(given, FAILURE)["told"]


@pytest.mark.parametrize(("names", "told"), [(["a"], "a"), (["a", "b", "c"], "a … c (3)"), ([], "nothing")])
def test_a_batch_is_named_by_its_first_and_last(names: list[str], told: str) -> None:
    asked = [[name, [], ""] for name in names]
    assert (
        OpenSearchApplyPlanOperator(task_id="apply", target=TARGET, approved=asked, approve_task_id="approve").names
        == told
    )


def test_every_model_that_appeared_or_changed_is_an_event_although_others_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: dict[str, Any] = {}

    class Alias:
        def add(self, asset: Asset, extra: dict[str, Any]) -> None:
            events[asset.uri] = extra

    told_before = {f"opensearch-ml://{TARGET}/c": "Zz1", f"opensearch-ml://{TARGET}/d": "an older one"}
    monkeypatch.setattr(assets, "was_announced", lambda asset, model_id: told_before.get(asset.uri) == model_id)
    kinds = {"c": ("create",), "d": ("create",), "e": ("create", "swap")}
    told_before[f"opensearch-ml://{TARGET}/e"] = "Zz1"
    unchanged = [Applied(name, told, Outcome.UNCHANGED, "", "Zz1").as_dict() for name, told in kinds.items()]
    batches = [[DONE.as_dict(), FAILED.as_dict()], unchanged[:1], unchanged[1:]]
    given = {**context({("apply", RESULTS): batches}), "outlet_events": {assets.MODELS: Alias()}}
    announce = OpenSearchAnnounceModelsOperator(task_id="announce", target=TARGET, apply_task_id="apply")
    announce.execute(as_context(given))
    assert events == {
        f"opensearch-ml://{TARGET}/a": {"model_id": "Xy9", "done": ["create"]},
        f"opensearch-ml://{TARGET}/d": {"model_id": "Zz1", "done": ["create"]},  # made by a try that was killed
        f"opensearch-ml://{TARGET}/e": {"model_id": "Zz1", "done": ["create", "swap"]},  # or changed, under its old id
    }
    with pytest.raises(AirflowSkipException):
        announce.execute(as_context(context({("apply", RESULTS): batches[1:2]})))


# ---- what outlives a run that died


def test_what_was_approved_is_owed_an_event_until_it_is_told_or_is_no_news(
    planned: Callable[..., dict[str, Any]], kept: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = planned(*CREATED, apply="always", batch_size=2)["batches"]
    assert OWED not in kept  # nobody has approved it
    approve("always", context({("plan", RETURNED): [batches]}, "approve"))
    assert kept[OWED] == [f"model_{index}" for index in range(5)]
    monkeypatch.setattr(assets, "was_announced", lambda asset, model_id: True)
    told = [("model_0", Outcome.UNCHANGED), ("model_1", Outcome.FAILED), ("model_2", Outcome.BUSY)]
    results = [Applied(name, ("create",), outcome, "", "Zz1").as_dict() for name, outcome in told]
    announce = OpenSearchAnnounceModelsOperator(task_id="announce", target=TARGET, apply_task_id="apply")
    with pytest.raises(AirflowSkipException):
        announce.execute(as_context(context({("apply", RESULTS): [results]})))
    assert kept[OWED] == [f"model_{index}" for index in range(1, 5)]  # two were not even begun


@pytest.mark.parametrize("apply", ["always", "with approval"])
def test_what_a_run_made_that_died_is_asked_and_told_of_by_the_next_that_applies(
    planned: Callable[..., dict[str, Any]], kept: Store, apply: str
) -> None:
    kept.set(OWED, ["model_0", "right", "lives_here_no_more"])
    with pytest.raises(DownstreamTasksSkipped):
        planned(apply="never")
    done = planned(apply=apply)
    # As what is found done: the model is asked, and told of.
    assert done["batches"] == [[["right", ["create", "swap"], " "]]]
    assert kept[OWED] == ["model_0", "right"]
    assert (left(done, PLANNED)["unchanged"], left(done, PLANNED)["work"]) == (0, {})
    given = context({("plan", PLANNED): [left(done, PLANNED)], ("plan", RETURNED): [done["batches"]]}, "approve")
    approve(apply, given)  # and nobody is asked, as nothing is written
    assert left(given, APPROVED)["approved"]


# ---- the summary


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the notifiers are told."""
    told: list[str] = []
    monkeypatch.setattr(notifications, "tell", lambda context, *words: told.extend(words))
    return told


def summarize(given: dict[str, Any]) -> dict[str, int]:
    return OpenSearchSummarizeFleetOperator(task_id="summary", target=TARGET, **SUMMARY_OF).execute(as_context(given))


def planned_as(done: dict[str, Any], **xcoms: list[Any]) -> dict[str, Any]:
    """What the summary finds after a plan, and what other tasks left: ``approve=…, apply=…``."""
    found = {("plan", key): [left(done, key)] for key in (PLANNED, SETTINGS, DELETIONS) if left(done, key)}
    found["plan", "return_value"] = [done.get("batches")]
    found |= {(task, APPROVED if task == "approve" else RESULTS): value for task, value in xcoms.items()}
    return context(found, "summary")


YES = [{"approved": True, "by": "ada"}]


def test_one_failure_and_one_broken_file_fail_the_run_with_a_table_and_each_cause(
    planned: Callable[..., dict[str, Any]], alarms: list[str]
) -> None:
    done = planned(TRUSTED, *CREATED[:2], TYPO, apply="always")
    settings = Applied("trusted endpoints", ("settings",), Outcome.DONE, "added ^https://a$")
    results = [
        Applied("model_0", ("create",), Outcome.DONE, "model Xy9 answers", "Xy9"),
        Applied("model_1", ("create",), Outcome.FAILED, "refused\n  evidence: 401\n  fix: correct the key"),
    ]
    given = planned_as(done, approve=YES, settings=[[settings.as_dict()]], apply=[[one.as_dict() for one in results]])
    with pytest.raises(AirflowFailException) as failed:
        summarize(given)
    told = str(failed.value)
    assert told.splitlines()[:5] == [
        "production: 2 done, 1 failed, 1 broken; 1 unchanged",
        "  model_1            failed          create: refused",
        "  typo               broken          its file has 2 findings",
        "  model_0            done            create: model Xy9 answers",
        "  trusted endpoints  done            settings: added ^https://a$",
    ]
    assert "model_1: refused\n  evidence: 401\n  fix: correct the key" in told
    assert "fix: write client_config" in told


def test_what_a_killed_task_never_told_is_a_failure(planned: Callable[..., dict[str, Any]], alarms: list[str]) -> None:
    done = planned(*CREATED[:1], apply="always")
    with pytest.raises(AirflowFailException, match=r"model_0 +failed +create: its task ended without a word"):
        summarize(planned_as(done, approve=YES))


def test_drift_that_is_not_applied_is_told_once_and_is_no_failure(alarms: list[str]) -> None:
    given = context(task_id="summary")
    given["ti"].xcoms["plan", PLANNED] = [plan_left(CREATED)]
    assert summarize(given) == {"not applied": 5}
    subject, told = alarms
    assert subject == "production is not as its blueprints say: Plan: 5 to create; 1 unchanged"
    assert (
        told
        == """\
production: not applied: 5 to create; 1 unchanged

  + create    5 models: model_0, model_1, model_2, model_3, model_4: it has no model here

Plan: 5 to create; 1 unchanged

Nothing was written (apply: never).
To have it applied, start the DAG with apply: with approval, or always."""
    )
    alarms.clear()
    summarize(given)  # the same once more
    by_hand = {**context({("plan", PLANNED): [plan_left(CREATED)]}, "summary"), "dag_run": Run("manual")}
    summarize(by_hand)
    assert alarms == []


def plan_left(changes: Sequence[Change], **arguments: Any) -> dict[str, Any]:
    given, operator = context(), OpenSearchPlanFleetOperator(task_id="plan", target=TARGET, **arguments)
    operator._leave(as_context(given), Plan(TARGET, len(changes), tuple(changes), ("right",)))
    return dict(left(given, PLANNED))


ADOPTED = Change(Kind.ORPHAN, "by_hand", "adopted", (Difference("model.description", "a (managed)", "a"),), ("Xy9",))
STAY = (
    "2 orphans stay, because only a run with parameter prune deletes them; adopted models stay and lose our mark: "
    "old, by_hand (adopted)."
)


@pytest.mark.parametrize(
    ("changes", "prune", "told", "counted"),
    [
        ([], False, "production: nothing to do; 1 unchanged", {}),
        ([OLD, ADOPTED], False, f"production: nothing to do; 1 unchanged\n{STAY}", {}),
        (
            [OLD],
            True,
            "production: not applied: 1 to delete; 1 unchanged\n…\n"
            "Parameter prune is on: applying this deletes 1 orphan: old.",
            {"not applied": 1},
        ),
        (
            [CREATED[0], OLD],
            False,
            "production: not applied: 1 to create; 1 unchanged\n…\n1 orphan stays, because",
            None,
        ),
    ],
)
def test_orphans_are_named_whatever_is_applied_and_no_work_is_called_nothing(
    alarms: list[str],
    capsys: pytest.CaptureFixture[str],
    changes: list[Change],
    prune: bool,
    told: str,
    counted: dict[str, int] | None,
) -> None:
    done = summarize(context({("plan", PLANNED): [plan_left(changes, prune=prune)]}, "summary"))
    first, _, last = told.partition("\n…\n")
    log = capsys.readouterr().out.replace("\\n", "\n")
    assert first in log
    assert last in log
    assert counted is None or done == counted


def test_orphans_stay_also_where_everything_else_was_applied(
    planned: Callable[..., dict[str, Any]], alarms: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    done = planned(CREATED[0], OLD, apply="always")
    made = Applied("model_0", ("create",), Outcome.DONE, "model Xy9 answers", "Xy9").as_dict()
    assert summarize(planned_as(done, approve=YES, apply=[[made]])) == {"done": 1}
    assert "1 orphan stays, because only a run with parameter prune deletes it: old." in capsys.readouterr().out


def test_a_plan_that_is_too_much_says_so_where_it_is_not_applied_either(
    alarms: list[str], planned: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    given = context()
    operator = OpenSearchPlanFleetOperator(task_id="plan", target=TARGET)
    plan = Plan(TARGET, 6, tuple(Change(Kind.SWAP, f"model_{index}") for index in range(6)), (), standing=10)
    operator._leave(as_context(given), plan, too_much(plan, Limits(), prune=False))
    summarize(context({("plan", PLANNED): [left(given, PLANNED)]}, "summary"))
    told = capsys.readouterr().out
    assert "A run that applies it would stop too: 6 of 10 models on production would change" in told


def test_a_rejected_plan_is_told_with_who_rejected_it_and_is_no_failure(
    planned: Callable[..., dict[str, Any]], alarms: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    done = planned(*CREATED, apply="with approval")
    assert summarize(planned_as(done, approve=[{"approved": False, "by": "ada"}])) == {"not applied": 5}
    told = capsys.readouterr().out
    assert "production: not applied: 5 to create; 1 unchanged" in told
    assert "Nothing was written (the plan was rejected by ada)." in told
    assert alarms == []
    for answers, why in (
        ([{"approved": False, "by": fleet.NOBODY}], "rejected, because nobody answered in time"),
        (
            [],
            "not approved",
        ),
    ):
        summarize(planned_as(done, approve=answers))
        assert f"Nothing was written (the plan was {why})." in capsys.readouterr().out


def test_a_broken_file_fails_a_run_that_only_reports(alarms: list[str]) -> None:
    given = context({("plan", PLANNED): [plan_left([TYPO])]}, "summary")
    with pytest.raises(AirflowFailException, match="typo: its file has 2 findings"):
        summarize(given)


def test_the_run_of_other_targets_is_skipped() -> None:
    with pytest.raises(AirflowSkipException):
        summarize(context({("plan", PLANNED): [NOT_ASKED]}))


@pytest.mark.parametrize(
    ("xcoms", "told"),
    [
        ({("plan", FAILURE): [{"blueprint": "", "told": "401\n  fix: login"}]}, "production: 401\n  fix: login"),
        ({}, "read the log of task plan"),  # it was killed
    ],
)
def test_a_run_that_could_not_plan_is_no_success(xcoms: dict[tuple[str, str], list[Any]], told: str) -> None:
    with pytest.raises(AirflowFailException) as failed:
        summarize(context(xcoms))
    assert told in str(failed.value)


def test_a_target_of_no_blueprints_says_so() -> None:
    with pytest.raises(InvalidTarget):
        _ = OpenSearchPlanFleetOperator(task_id="plan", target="nowhere").hook
