"""The DAGs as Airflow reads them: their tasks, their form, and what reading them costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
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

from tests.support.repository import REPOSITORY

DAGS = REPOSITORY / "dags"
PROVISION, TEARDOWN = "opensearch_ml_provision", "opensearch_ml_teardown"
TASKS = {
    PROVISION: [
        "preflight",
        "iam_role",
        "ml_settings",
        "role_mapping",
        "trusted_endpoints",
        "connector",
        "model_group",
        "model",
        "deploy",
        "deployed",
        "smoke_predict",
    ],
    TEARDOWN: [
        "undeploy",
        "delete_model",
        "delete_connector",
        "delete_model_group",
        "remove_trusted_endpoints",
        "delete_iam_role",
    ],
}
# What these write is shared by the whole cluster and carries no version.
ONE_AT_A_TIME = {
    PROVISION: {"ml_settings", "role_mapping", "trusted_endpoints"},
    TEARDOWN: {"remove_trusted_endpoints"},
}
ADMINISTRATORS = {PROVISION: {"preflight", *ONE_AT_A_TIME[PROVISION]}, TEARDOWN: ONE_AT_A_TIME[TEARDOWN]}
WITH_AWS = {
    PROVISION: {"preflight", "iam_role", "connector", "model", "smoke_predict"},
    TEARDOWN: {"delete_connector", "delete_iam_role"},
}
ALL = sorted(
    [*TASKS, "opensearch_ml_reconcile", "opensearch_ml_rotate_credentials"]
)  # these two have tests of their own
EACH = pytest.mark.parametrize("dag_id", TASKS)


def read() -> dict[str, DAG]:
    bag = DagBag(DAGS)
    assert bag.import_errors == {}
    return bag.dags


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    return read()


def test_these_dags_are_read_without_an_error(dags: dict[str, DAG]) -> None:
    assert sorted(dags) == ALL


@EACH
def test_the_tasks_run_in_this_order(dags: dict[str, DAG], dag_id: str) -> None:
    tasks = TASKS[dag_id]
    assert sorted(dags[dag_id].task_ids) == sorted(tasks)
    for earlier, later in pairwise(tasks):
        assert earlier in dags[dag_id].get_task(later).upstream_task_ids
    assert [task.task_id for task in dags[dag_id].roots] == tasks[:1]
    assert [task.task_id for task in dags[dag_id].leaves] == tasks[-1:]


@EACH
def test_every_task_is_tried_again_after_a_short_while(dags: dict[str, DAG], dag_id: str) -> None:
    told = {(task.retries, task.retry_delay) for task in dags[dag_id].tasks}
    assert told == {(2, timedelta(seconds=5))}


@EACH
def test_what_writes_a_shared_list_runs_once_at_a_time(dags: dict[str, DAG], dag_id: str) -> None:
    limits = {task.task_id: task.max_active_tis_per_dag for task in dags[dag_id].tasks}
    assert {task_id for task_id, limit in limits.items() if limit == 1} == ONE_AT_A_TIME[dag_id]
    assert set(limits.values()) == {1, None}


@EACH
def test_every_task_talks_to_the_cluster_that_the_form_names(dags: dict[str, DAG], dag_id: str) -> None:
    assert set(map(attrgetter("opensearch_conn_id"), dags[dag_id].tasks)) == {"{{ params.opensearch_conn_id }}"}
    with_blueprint = [task for task in dags[dag_id].tasks if "blueprint" in task.template_fields]
    assert set(map(attrgetter("blueprint"), with_blueprint)) == {"{{ params.blueprint }}"}


@EACH
@pytest.mark.parametrize(
    ("connection", "value", "tasks"),
    [
        # The form sends null for what was emptied, which would be rendered as None.
        ("opensearch_admin_conn_id", "{{ params.opensearch_admin_conn_id or '' }}", ADMINISTRATORS),
        ("aws_conn_id", "{{ params.aws_conn_id }}", WITH_AWS),
    ],
    ids=["administrator", "aws"],
)
def test_exactly_the_tasks_that_need_another_connection_take_it_from_the_form(
    dags: dict[str, DAG], dag_id: str, connection: str, value: str, tasks: dict[str, set[str]]
) -> None:
    given = {task.task_id: getattr(task, connection, None) for task in dags[dag_id].tasks}
    assert {task_id for task_id, value in given.items() if value} == tasks[dag_id]
    assert {given[task_id] for task_id in tasks[dag_id]} == {value}


@EACH
def test_the_form_can_be_sent_without_an_administrators_connection(dags: dict[str, DAG], dag_id: str) -> None:
    # The form takes no empty text for a field whose type is not null too, and then its button stays grey.
    params = dags[dag_id].params
    may_be_empty = {name for name in params if "null" in params.get_param(name).schema["type"]}
    assert may_be_empty == {"opensearch_admin_conn_id"}


@EACH
def test_a_dag_runs_only_when_somebody_asks_and_says_what_it_does(dags: dict[str, DAG], dag_id: str) -> None:
    dag = dags[dag_id]
    schedule: object = dag.schedule  # is declared to be never None
    assert (schedule, dag.catchup, dag.tags) == (None, False, {"opensearch-ml"})
    assert dag.description
    assert dag.doc_md


@EACH
def test_the_form_offers_the_blueprints_there_are(dags: dict[str, DAG], dag_id: str) -> None:
    names = sorted(path.stem for path in (REPOSITORY / "include" / "blueprints").glob("*.yaml"))
    assert names
    assert dags[dag_id].params.get_param("blueprint").schema["enum"] == names


@EACH
def test_what_is_made_or_deleted_is_said_in_as_many_words_and_the_rest_is_filled_in(
    dags: dict[str, DAG], dag_id: str
) -> None:
    params = dags[dag_id].params
    with pytest.raises(ParamValidationError, match="blueprint"):
        params.validate()
    assert {name: params[name] for name in params if name != "blueprint"} == {
        "opensearch_conn_id": "opensearch_default",
        "opensearch_admin_conn_id": "",
        "aws_conn_id": "aws_default",
    }


@EACH
def test_a_blueprint_that_is_not_there_is_refused_by_the_form(dag_id: str) -> None:
    with pytest.raises(ParamValidationError, match="openai_embeding"):
        read()[dag_id].params.update({"blueprint": "openai_embeding"})


@EACH
@pytest.mark.parametrize("exists", [True, False], ids=["empty", "missing"])
def test_a_blueprints_folder_without_blueprints_is_no_error(
    dag_id: str, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "blueprints"
    if exists:
        folder.mkdir()
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(folder))
    dag = read()[dag_id]
    with pytest.raises(ParamValidationError, match="blueprint"):
        dag.params.validate()
    # Nothing to choose from; what is given is refused by the first task, with the folder's name.
    dag.params.update({"blueprint": "anything"})
    assert dag.params.validate()["blueprint"] == "anything"


# ---- what Airflow's DAG processor meets: a new process

PARSE = """
    import json, sys, time
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk.execution_time import context

    asked = []
    for name in ("_get_connection", "_get_variable"):
        setattr(context, name, lambda *a, name=name, **k: asked.append((name, *a)))

    before = set(sys.modules)
    bag = DagBag({dags!r})
    first = set(sys.modules) - before
    started = time.process_time()
    DagBag({dags!r})
    again_s = time.process_time() - started

    from airflow import plugins_manager
    plugins = [plugin.name for plugin in plugins_manager._get_plugins()[0]]
    errors = plugins_manager.get_import_errors()
    print(json.dumps({{
        "import_errors": bag.import_errors, "dags": sorted(bag.dags), "modules": sorted(first), "again_s": again_s,
        "asked": asked, "plugins": plugins, "plugin_errors": errors,
    }}))
"""


@pytest.fixture(scope="module")
def parsed(airflow_home: Path) -> dict[str, Any]:
    """What a new process tells of reading the DAG files, with nothing on its path but what Airflow puts there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = textwrap.dedent(PARSE.format(dags=str(DAGS)))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=airflow_home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_airflow_finds_our_package_by_its_plugins_folder_alone(parsed: dict[str, Any]) -> None:
    assert (parsed["import_errors"], parsed["dags"]) == ({}, ALL)
    assert "opensearch_ml" in parsed["plugins"]
    assert parsed["plugin_errors"] == {}


def test_no_connection_and_no_variable_is_read_when_a_dag_file_is(parsed: dict[str, Any]) -> None:
    assert parsed["asked"] == []


def test_aws_is_not_imported_when_a_dag_file_is_read(parsed: dict[str, Any]) -> None:
    packages = {".".join(name.split(".")[:3]) for name in parsed["modules"]}
    assert packages.isdisjoint({"boto3", "botocore", "aiobotocore", "airflow.providers.amazon", "local", "moto"})


def test_reading_the_dag_files_takes_little_time(parsed: dict[str, Any]) -> None:
    assert parsed["again_s"] < 0.5  # of processor; 0.04 s on an idle machine


@pytest.mark.parametrize("dag_id", ALL)
def test_no_secret_is_in_what_airflow_stores_of_a_dag(dag_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-Gd2-Wx5-Js9"
    connection = json.dumps({"conn_type": "opensearch", "host": "h", "login": canary, "password": canary})
    for name in ("opensearch_default", "openai_default", "aws_default"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", connection)
    assert canary not in json.dumps(DagSerialization.to_dict(read()[dag_id]))
