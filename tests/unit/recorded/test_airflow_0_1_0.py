"""What version 0.1.0 left in Airflow's database is read today as it was meant then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import Asset, BaseOperatorLink
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.serde import deserialize

from opensearch_ml import assets, links
from opensearch_ml.assets import MODELS, asset_of, fleet_of, noted, was_announced
from opensearch_ml.operators import fleet, owed
from opensearch_ml.operators.fleet import (
    APPROVED,
    DELETIONS,
    RESULTS,
    SETTINGS,
    OpenSearchAnnounceModelsOperator,
    OpenSearchApplyPlanOperator,
    OpenSearchApprovePlanOperator,
)
from opensearch_ml.operators.fleet_summary import OpenSearchSummarizeFleetOperator
from opensearch_ml.operators.handover import FAILURE
from opensearch_ml.operators.owed import OWED, Owed
from opensearch_ml.operators.rotation import STANDINGS, OpenSearchSummarizeRotationsOperator
from opensearch_ml.reconcile.approval import Approved
from opensearch_ml.reconcile.results import Applied, Outcome
from opensearch_ml.resources.changes import Change, Difference, Kind
from opensearch_ml.rotation import summary
from opensearch_ml.rotation.schedule import next_run
from opensearch_ml.sensors import OpenSearchDeployTaskSensor
from opensearch_ml.triggers import OpenSearchDeployTaskTrigger
from tests.support.recorded import DOMAIN, SELF_MANAGED, RecordedRun, Recording

RECORDING = Recording("0.1.0")
PROVISION_TASKS = ("preflight", "connector", "model_group", "model", "deploy", "deployed")
PROVISIONS = (
    *((SELF_MANAGED, f"provision{name}") for name in ("", "_unchanged", "_user_key", "_session", "_secret")),
    *((DOMAIN, f"provision{name}") for name in ("_role", "_role_unchanged", "_existing_role")),
)
ROTATIONS = (
    *((SELF_MANAGED, f"rotation{name}") for name in ("_unchanged", "", "_sources")),
    (DOMAIN, "rotation_role"),
)
RECONCILED = (
    "reconcile_rejected",
    "reconcile_approved",
    "reconcile_orphans",
    "reconcile_prune",
    "reconcile_adopted_again",
    "reconcile_always",
    "reconcile_unchanged",
    "reconcile_after_an_interruption",
    "reconcile_taken_up",
)
ANNOUNCED = ("reconcile_approved", "reconcile_always", "reconcile_after_an_interruption", "reconcile_taken_up")


@dataclass
class Store:
    """What Airflow keeps with an asset, or for the tries of a task."""

    values: dict[str, Any]

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Store]:
    """What Airflow keeps with assets, by the asset's name."""
    stores: dict[str, Store] = {}
    monkeypatch.setattr(owed, "AssetStateStoreAccessor", lambda name: stores.setdefault(name, Store({})))
    return stores


def keep(kept: dict[str, Store], moment: str) -> None:
    """Keep what was recorded."""
    for row in RECORDING.load("airflow/asset_state")[moment]:
        kept.setdefault(row["name"], Store({})).set(row["key"], json.loads(row["value"]))


# ---- XComs of a provisioning


@pytest.mark.parametrize(("folder", "label"), PROVISIONS)
def test_a_task_finds_what_earlier_tasks_changed(folder: str, label: str) -> None:
    run = RECORDING.run(label, folder)
    done = noted(run.context("smoke_predict"), PROVISION_TASKS)
    is_unchanged = label.endswith("unchanged")
    assert len(done) == (0 if is_unchanged else 3)
    model_id = run.value("smoke_predict")
    announced = [event["extra"] for event in RECORDING.events(label, folder)]
    assert announced == ([] if is_unchanged else [{"model_id": model_id, "done": done}])


@pytest.mark.parametrize(("folder", "label"), PROVISIONS)
def test_links_point_to_the_objects_that_the_tasks_returned(
    folder: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, task_id = RECORDING.run(label, folder), ""
    monkeypatch.setattr(XCom, "get_value", lambda key, ti_key: run.value(task_id, key))
    made: dict[str, BaseOperatorLink] = {
        "connector": links.OpenSearchConnectorLink(),
        "model": links.OpenSearchModelLink(),
    }
    if folder == DOMAIN:
        made["iam_role"] = links.OpenSearchIamRoleLink()
    for task_id, link in made.items():
        returned = run.value(task_id)
        path = f"/roles/details/{returned.rpartition('/')[2]}" if task_id == "iam_role" else f"/{task_id}s/{returned}"
        assert link.get_link(None, ti_key=None).endswith(path)  # type: ignore[arg-type]


def test_the_ids_in_xcoms_are_those_of_the_cluster() -> None:
    cluster = RECORDING.cluster("provisioned")
    run = RECORDING.run("provision")
    assert list(cluster.moment["connectors"]) == [run.value("connector")]
    assert list(cluster.moment["model_groups"]) == [run.value("model_group")]
    assert list(cluster.moment["models"]) == [run.value("model")] == [run.value("smoke_predict")]


# ---- XComs of a rotation


def summarize_rotation(run: RecordedRun) -> dict[str, int]:
    operator = OpenSearchSummarizeRotationsOperator(task_id="summary", opensearch_conn_id="opensearch_default")
    return operator.execute(run.context("summary"))


@pytest.mark.parametrize(("folder", "label"), ROTATIONS)
def test_a_rotation_is_summarized_as_it_was(folder: str, label: str) -> None:
    run = RECORDING.run(label, folder)
    assert summarize_rotation(run) == run.value("summary")


def test_a_refused_rotation_is_summarized_with_its_cause() -> None:
    run = RECORDING.run("rotation_refused")
    with pytest.raises(AirflowFailException, match="the model's platform refuses the connector's credential") as failed:
        summarize_rotation(run)
    assert "chat: " in str(failed.value)
    assert run.value("rotate", FAILURE, 0)["told"] in str(failed.value)


def test_what_a_rotation_did_is_told_in_its_row() -> None:
    cluster, run = RECORDING.cluster("rotated"), RECORDING.run("rotation")
    rows = {row.blueprint: row for row in rotation_rows(run)}
    connector_id = cluster.named("embedding")["connector_id"]
    assert rows["embedding"].told == f"credential; {connector_id} serves"
    assert rows["inside"].told == "credential; its internal connector serves"
    assert {row.outcome for row in rows.values()} == {"rotated"}


def test_the_next_run_is_planned_for_when_the_session_is_due() -> None:
    run = RECORDING.run("rotation_sources")
    rows = {row.blueprint: row for row in rotation_rows(run)}
    assert rows["session"].ends
    assert rows["session"].due
    assert rows["user_key"].due
    assert rows["secret"].due is None
    now = rows["session"].due - timedelta(minutes=20)
    at = next_run(now, [(row.due, row.ends, row.outcome == "failed") for row in rows.values()])
    assert at
    planned = run.value("plan_next", "trigger_run_id")
    assert planned == f"due__opensearch_default__{at.replace(microsecond=0).isoformat()}"


def rotation_rows(run: RecordedRun) -> list[summary.Row]:
    def pulled(task_id: str, key: str) -> list[Any]:
        return [one for one in run.xcom_pull([task_id], key) if one is not None]

    [standings], [mapped] = pulled("find", STANDINGS), pulled("find", "return_value")
    return summary.rows(standings, mapped, pulled("rotate", "return_value"), pulled("rotate", FAILURE))


# ---- XComs of a reconciliation


def summarize_fleet(run: RecordedRun) -> dict[str, int]:
    tasks = {f"{name}_task_id": f"local.{name}" for name in ("plan", "approve", "settings", "apply", "delete")}
    operator = OpenSearchSummarizeFleetOperator(task_id="summary", target="local", **tasks)
    return operator.execute(run.context("local.summary"))


@pytest.mark.parametrize("label", RECONCILED)
def test_a_reconciliation_is_summarized_as_it_was(label: str) -> None:
    run = RECORDING.run(label)
    assert summarize_fleet(run) == run.value("local.summary")


def test_a_plan_with_a_broken_file_is_summarized_as_a_failure() -> None:
    with pytest.raises(AirflowFailException, match="unknown field, which the server would drop silently") as failed:
        summarize_fleet(RECORDING.run("reconcile_never"))
    assert "broken: " in str(failed.value)


@pytest.mark.parametrize("label", ["reconcile_rejected", "reconcile_approved"])
def test_a_person_is_asked_what_the_plan_says(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked = RECORDING.run(f"{label}, while it waits"), dict[str, Any]()
    [question] = RECORDING.load("airflow/waiting_tasks")[label]["questions"]
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **to: asked.update(to))
    with pytest.raises(TaskAwaitingInput):
        approve_operator().execute(run.context("local.approve"))
    shown = ("subject", "body", "options", "defaults", "multiple", "params")
    assert {key: asked[key] for key in shown} == {key: question[key] for key in shown}


@pytest.mark.parametrize(("label", "is_approved"), [("reconcile_rejected", False), ("reconcile_approved", True)])
def test_an_answer_to_an_earlier_question_is_understood(label: str, is_approved: bool, kept: dict[str, Store]) -> None:
    waiting = RECORDING.load("airflow/waiting_tasks")[label]
    [task], [answer] = waiting["tasks"], waiting["answers"]
    run, operator = RECORDING.run(f"{label}, while it waits"), approve_operator()
    assert (type(operator).__name__, task["state"]) == (task["operator"], "awaiting_input")
    event = {
        "chosen_options": answer["chosen_options"],
        "responded_by_user": answer["responded_by"],
        "params_input": {},
        "responded_at": datetime(2026, 11, 29, tzinfo=timezone.utc),
    }
    resume = getattr(operator, task["next_method"])
    resume(run.context("local.approve"), event=event, **task["next_kwargs"])
    assert run.pushed[APPROVED] == RECORDING.run(label).value("local.approve", APPROVED)
    assert run.pushed[APPROVED]["approved"] is is_approved
    [row] = RECORDING.load("airflow/asset_state")["reconcile_approved, before its announce"]
    found = {name: store.values for name, store in kept.items()}
    assert found == ({row["name"]: {row["key"]: json.loads(row["value"])}} if is_approved else {})


def approve_operator() -> OpenSearchApprovePlanOperator:
    return OpenSearchApprovePlanOperator(
        task_id="approve", target="local", plan_task_id="local.plan", apply="with approval"
    )


def test_what_was_approved_covers_the_changes_that_were_shown_and_no_others() -> None:
    cluster = RECORDING.cluster("fleet")
    described = ("OpenAI text embeddings, described anew", "OpenAI text embeddings")
    plain = cluster.named("plain")
    shown = {
        "embedding": Change(Kind.UPDATE, "embedding", differences=(Difference("model.description", *described),)),
        "chat": Change(Kind.SWAP, "chat", differences=(Difference("parameters.model", "gpt-4o", "gpt-4o-mini"),)),
        "plain": Change(Kind.ORPHAN, "plain", models=(plain["id"],), connectors=(plain["connector_id"],)),
    }
    changed = {
        "embedding": Change(Kind.UPDATE, "embedding", differences=(Difference("model.description", "x", "y"),)),
        "chat": Change(Kind.SWAP, "chat", differences=(Difference("parameters.model", "gpt-4o", "gpt-5"),)),
        "plain": Change(Kind.ORPHAN, "plain", models=("another",), connectors=(plain["connector_id"],)),
    }
    batches = RECORDING.run("reconcile_interrupted").value("local.plan")
    deletions = RECORDING.run("reconcile_prune").value("local.plan", DELETIONS)
    approvals = {one.what: one for one in map(Approved.of_list, [*batches[0], *deletions])}
    assert {name: approvals[name].covers(change) for name, change in shown.items()} == dict.fromkeys(shown, True)
    assert {name: approvals[name].covers(change) for name, change in changed.items()} == dict.fromkeys(shown, False)
    assert [approvals[name].as_list() for name in ("embedding", "chat")] == batches[0]


@pytest.fixture
def applying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs a task that applies what a recorded plan left for it; nothing is left to do any more."""
    RECORDING.catalog(tmp_path)
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER", str(tmp_path / "targets"))
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(RECORDING.folder / "blueprints"))
    monkeypatch.setattr(fleet, "what_is_next", lambda operator: "")

    def apply(run: RecordedRun, approved: list[Any], state: Mapping[str, Any]) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def stage(_: Any, approvals: list[Approved], *, at_once: int, on_done: Callable[..., None]) -> None:
            seen["approvals"] = approvals
            for index, one in enumerate(approvals):
                on_done(Applied(one.what, one.kinds, Outcome.UNCHANGED, "nothing to do"), index + 1, len(approvals))

        monkeypatch.setattr(fleet, "apply_stage", stage)
        operator = OpenSearchApplyPlanOperator(
            task_id="apply", target="local", approved=approved, approve_task_id="local.approve"
        )
        seen["counts"] = operator.execute(run.context("local.apply", 0, task_state_store=Store(dict(state))))
        return {**seen, "results": run.pushed[RESULTS]}

    return apply


@pytest.mark.parametrize(
    ("label", "key"), [("reconcile_approved", SETTINGS), ("reconcile_approved", ""), ("reconcile_prune", DELETIONS)]
)
def test_what_was_approved_is_applied(applying: Callable[..., dict[str, Any]], label: str, key: str) -> None:
    run = RECORDING.run(label)
    approved = run.value("local.plan", key) if key else run.value("local.plan")[0]
    done = applying(run, approved, {})
    assert [one.as_list() for one in done["approvals"]] == approved
    assert len(approved) > 0


def test_what_was_rejected_is_not_applied(applying: Callable[..., dict[str, Any]]) -> None:
    run = RECORDING.run("reconcile_rejected")
    with pytest.raises(AirflowSkipException, match="not approved"):
        applying(run, run.value("local.plan")[0], {})


@pytest.mark.parametrize("label", ["reconcile_approved", "reconcile_interrupted"])
def test_a_next_try_reports_what_an_earlier_one_did(applying: Callable[..., dict[str, Any]], label: str) -> None:
    run = RECORDING.run(label)
    [row] = [one for one in RECORDING.load("airflow/task_state")[label] if one["task_id"] == "local.apply"]
    earlier = {one["what"]: one for one in json.loads(row["value"])}
    done = applying(run, run.value("local.plan")[0], {row["key"]: json.loads(row["value"])})
    found = {one["what"]: one for one in done["results"]}
    assert earlier
    assert {name: found[name] for name in earlier} == earlier
    assert {one["outcome"] for name, one in found.items() if name not in earlier} <= {"unchanged"}


# ---- events


@dataclass
class Outlets:
    """Keeps the events that a task emits."""

    emitted: list[tuple[Asset, Any]]

    def add(self, asset: Asset, extra: Any) -> None:
        self.emitted.append((asset, extra))


@pytest.mark.parametrize("label", ANNOUNCED)
def test_results_are_announced_as_they_were(
    label: str, kept: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "what_is_next", lambda operator: "")
    monkeypatch.setattr(assets, "was_announced", lambda asset, model_id: True)
    run, outlets = RECORDING.run(label), Outlets([])
    operator = OpenSearchAnnounceModelsOperator(task_id="announce", target="local", apply_task_id="local.apply")
    operator.execute(run.context("local.announce", outlet_events={MODELS: outlets}))
    found = [(asset.name, asset.uri, extra) for asset, extra in outlets.emitted]
    assert sorted(found, key=str) == sorted(
        [(event["name"], event["uri"], event["extra"]) for event in RECORDING.events(label)], key=str
    )
    assert found


def test_an_event_names_the_model_of_its_asset() -> None:
    events = RECORDING.load("airflow/asset_events")
    assert len(events) > 10
    for event in events:
        asset = asset_of("local", event["uri"].rpartition("/")[2])
        assert (asset.name, asset.uri) == (event["name"], event["uri"])
    cluster = RECORDING.cluster("fleet")
    [last] = [event for event in RECORDING.events("reconcile_approved") if event["name"].endswith("/chat")]
    assert last["extra"]["model_id"] == cluster.named("chat")["id"]  # as examples/search_index.py reads it


@pytest.mark.parametrize("label", ["provision", "rotation", "reconcile_approved"])
def test_a_model_that_was_announced_is_known(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    event = RECORDING.events(label)[0]

    class Events:
        def __init__(self, asset_name: str, asset_uri: str) -> None:
            self.is_asked = (asset_name, asset_uri) == (event["name"], event["uri"])

        def ascending(self, ascending: bool) -> Events:
            assert not ascending
            return self

        def limit(self, limit: int) -> Events:
            return self

        def __iter__(self) -> Iterator[Any]:
            return iter([type("Event", (), event)] if self.is_asked else [])

    monkeypatch.setattr(assets, "InletEventsAccessor", Events)
    asset = asset_of("local", event["uri"].rpartition("/")[2])
    assert was_announced(asset, event["extra"]["model_id"])
    assert not was_announced(asset, "another")
    assert not was_announced(asset_of("local", "another"), event["extra"]["model_id"])


@pytest.mark.parametrize(
    ("folder", "label", "why"), [(SELF_MANAGED, "rotation", "credential"), (DOMAIN, "rotation_role", "forced")]
)
def test_an_event_of_a_rotation_is_the_record_of_it(folder: str, label: str, why: str) -> None:
    records = {one["blueprint"]: one for one in RECORDING.run(label, folder).xcom_pull(["rotate"])}
    events = {event["extra"]["blueprint"]: event["extra"] for event in RECORDING.events(label, folder)}
    assert events == records
    assert events
    for name, extra in events.items():
        [row] = summary.rows([], [name], [extra], [])
        assert (row.outcome, row.told.partition(";")[0], row.due) == ("rotated", why, None)


# ---- asset state


@pytest.mark.parametrize(
    ("moment", "names"),
    [
        ("reconcile_approved, before its announce", {"adopted", "chat", "inside", "plain"}),
        ("reconcile_interrupted", {"chat", "embedding"}),
        ("reconcile_after_an_interruption", {"chat"}),
        ("reconcile_taken_up", set[str]()),
    ],
)
def test_events_that_are_owed_are_read(moment: str, names: set[str], kept: dict[str, Store]) -> None:
    [row] = RECORDING.load("airflow/asset_state")[moment]
    assert (row["name"], row["uri"]) == (fleet_of("local").name, fleet_of("local").uri)
    keep(kept, moment)
    found = Owed("local")
    assert found.names == names
    found.settle(["chat"])
    assert kept[row["name"]].get(OWED) == sorted(names - {"chat"})


# ---- tasks that wait


def test_a_waiting_sensor_goes_on() -> None:
    [task] = RECORDING.load("airflow/waiting_tasks")["waits_for_a_deployment"]["tasks"]
    kwargs = cast(dict[str, Any], deserialize(task["trigger_kwargs"]))
    trigger = import_string(task["classpath"])(**kwargs)
    assert isinstance(trigger, OpenSearchDeployTaskTrigger)
    assert trigger.serialize() == (task["classpath"], kwargs)
    assert trigger.model_id == RECORDING.cluster("provisioned").named("embedding")["id"]
    assert {key: getattr(trigger, key) for key in kwargs} == kwargs
    sensor = OpenSearchDeployTaskSensor(task_id="deployed", model_id=trigger.model_id)
    assert type(sensor).__name__ == task["operator"]
    resume = getattr(sensor, task["next_method"])
    assert resume({}, event={"status": "success", "state": "DEPLOYED"}, **task["next_kwargs"]) == trigger.model_id
