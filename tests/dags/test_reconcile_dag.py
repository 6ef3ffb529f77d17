"""The reconciliation's DAG as Airflow reads it: a group of tasks for each target, and no blueprint is read for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from opensearch_ml.assets import MODELS
from opensearch_ml.reconcile.limits import Limits
from tests.support.dag_runs import cron_of
from tests.support.repository import REPOSITORY

FILE = REPOSITORY / "dags" / "opensearch_ml_reconcile.py"
RECONCILE = "opensearch_ml_reconcile"
TASKS = ["plan", "approve", "settings", "apply", "announce", "delete", "summary"]
OF_PRODUCTION = {"opensearch_conn_id": "search", "blueprints": ["openai_*"], "pool": "search_cluster"}
TARGETS = {
    "production.yaml": OF_PRODUCTION,
    "eu.west.json": {"opensearch_conn_id": "west", "blueprints": ["openai_chat"]},
    "by_hand.yaml": {"opensearch_conn_id": "hand"},
    "wrong.yaml": {"blueprintz": []},
}

Read = Callable[..., DAG]


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four targets: one of them is for runs by hand alone, and one is not valid."""
    folder = tmp_path / "targets"
    folder.mkdir()
    for name, content in TARGETS.items():
        (folder / name).write_text(json.dumps(content))
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER", str(folder))
    return folder


@pytest.fixture
def dag(targets: Path) -> DAG:
    """The DAG for these targets."""
    return read()


def read() -> DAG:
    bag = DagBag(FILE)
    assert bag.import_errors == {}
    return bag.dags[RECONCILE]


def test_each_target_that_names_blueprints_has_a_group_and_one_with_findings_too(dag: DAG) -> None:
    groups = ["eu-west", "production", "wrong"]  # whose plan tells what is wrong with it
    assert sorted(dag.task_ids) == sorted(f"{group}.{task}" for group in groups for task in TASKS)
    plans = [dag.get_task(f"{group}.plan") for group in groups]
    assert set(map(attrgetter("target"), plans)) == {"eu.west", "production", "wrong"}


def test_the_tasks_of_a_group_run_in_this_order(dag: DAG) -> None:
    ids = [f"production.{task}" for task in TASKS]
    in_order = [one for one in ids if one != "production.announce"]
    for earlier, later in pairwise(in_order):
        assert earlier in dag.get_task(later).upstream_task_ids
    assert dag.get_task("production.announce").downstream_task_ids == {"production.summary"}
    assert dag.get_task("production.plan").upstream_task_ids == set()
    assert dag.get_task("production.summary").downstream_task_ids == set()


@pytest.mark.parametrize(
    ("decides", "skipped"),
    [
        ("plan", {"approve", "settings", "apply", "announce", "delete"}),
        ("approve", {"settings", "apply", "announce", "delete"}),
    ],
)
def test_who_decides_that_nothing_is_applied_has_all_of_it_directly_below_and_the_summary_not(
    dag: DAG, decides: str, skipped: set[str]
) -> None:
    task = dag.get_task(f"production.{decides}")
    assert task.downstream_task_ids == {f"production.{name}" for name in skipped}
    assert task.inherits_from_skipmixin


def test_a_failure_in_one_stage_keeps_no_other_from_running(dag: DAG) -> None:
    rules = {task: dag.get_task(f"production.{task}").trigger_rule for task in TASKS}
    assert {task for task, rule in rules.items() if rule == "all_done"} == {"apply", "announce", "delete", "summary"}
    assert {rules["plan"], rules["approve"], rules["settings"]} == {"all_success"}


def test_every_task_of_a_target_is_in_its_pool_and_tried_again(dag: DAG) -> None:
    assert {dag.get_task(f"production.{task}").pool for task in TASKS} == {"search_cluster"}
    assert {dag.get_task(f"{group}.plan").pool for group in ("eu-west", "wrong")} == {"default_pool"}
    tries = {(task.retries, task.retry_delay, task.retry_exponential_backoff) for task in dag.tasks}
    assert tries == {(4, timedelta(seconds=5), 2.0)}  # after 5, 10, 20 and 40 s


def test_the_blueprints_are_mapped_over_in_batches_and_not_all_at_once(dag: DAG) -> None:
    apply: Any = dag.get_task("production.apply")
    assert apply.is_mapped
    assert apply.max_active_tis_per_dagrun == 4
    assert (apply.partial_kwargs["target"], apply.partial_kwargs["approve_task_id"]) == (
        "production",
        "production.approve",
    )


def test_the_models_events_are_made_by_one_task(dag: DAG) -> None:
    assert {task.task_id for task in dag.tasks if MODELS in task.outlets} == {
        f"{group}.announce" for group in ("eu-west", "production", "wrong")
    }


def test_it_runs_hourly_one_run_at_a_time_and_only_reports(dag: DAG) -> None:
    assert (dag.max_active_runs, dag.catchup, dag.start_date, dag.tags) == (1, False, None, {"opensearch-ml"})
    assert cron_of(dag) == "41 * * * *"
    assert dag.params.validate() == {
        "targets": [],
        "apply": "never",
        "prune": False,
        "max_deletions": Limits().deletions,
        "max_change_percent": Limits().change_percent,
        "batch_size": 25,
    }


def test_schedule_and_mode_of_scheduled_runs_are_options(targets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__RECONCILE_SCHEDULE", "*/10 * * * *")
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__RECONCILE_APPLY", "always")
    dag = read()
    assert cron_of(dag) == "*/10 * * * *"
    assert dag.params["apply"] == "always"
    assert dag.params.get_param("targets").schema["examples"] == ["eu.west", "production", "wrong"]


@pytest.mark.parametrize(
    "given",
    [
        {"targets": ["prodution"]},
        {"apply": "sometimes"},
        {"max_deletions": -1},
        {"max_change_percent": 101},
        {"batch_size": 0},
    ],
    ids=lambda given: next(iter(given)),
)
def test_the_form_refuses_what_is_not_there_or_makes_no_sense(dag: DAG, given: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        dag.params.update(given)


@pytest.mark.parametrize("exists", [True, False], ids=["empty", "missing"])
def test_without_targets_the_dag_is_empty_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    folder = tmp_path / "none"
    if exists:
        folder.mkdir()
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER", str(folder))
    assert read().task_ids == []


def test_no_secret_is_in_what_airflow_stores_of_it(targets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-Fw3-Lp8-Zd1"
    connection = json.dumps({"conn_type": "opensearch", "host": "h", "login": canary, "password": canary})
    for name in ("search", "west", "aws_default", "openai_default"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", connection)
    stored = json.dumps(DagSerialization.to_dict(read()))
    assert "search_cluster" in stored
    assert canary not in stored


def test_no_blueprint_is_read_and_their_folder_is_not_even_listed(
    targets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blueprints = tmp_path / "blueprints"
    blueprints.mkdir()
    (blueprints / "openai_chat.yaml").write_text("connector: {}")
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(blueprints))
    read()  # may import
    touched: list[str] = []
    is_over = False

    def watch(event: str, arguments: Any) -> None:
        if not is_over and event in ("open", "os.listdir", "os.scandir"):
            touched.append(str(arguments[0]))

    sys.addaudithook(watch)
    read()
    is_over = True
    assert [path for path in touched if path.startswith(str(blueprints))] == []
    assert [path for path in touched if path.startswith(str(targets))]  # the watch does see what is read


def test_the_example_is_read_and_scheduled_by_its_models_asset() -> None:
    bag = DagBag(REPOSITORY / "examples" / "search_index.py")
    assert bag.import_errors == {}
    dag = bag.dags["search_index"]
    stored = json.dumps(DagSerialization.to_dict(dag))
    assert "opensearch-ml://production/openai_embedding" in stored
    assert dag.task_ids == ["ingest_pipeline", "index"]
