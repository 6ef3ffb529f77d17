"""The rotation's DAG on the real server: what it finds, what becomes of each model, and whom it tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent, AssetModel
from airflow.sdk import DAG, BaseNotifier
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.session import create_session
from sqlalchemy import select

from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.catalog import folders
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.read_state import canaries
from opensearch_ml.rotation.record import Step
from opensearch_ml.rotation.sources import source_for
from opensearch_ml.rotation.swap import rotate
from tests.support.cluster import Cluster, connections
from tests.support.dag_runs import Finished, Run, cron_of
from tests.support.provisioning import provision
from tests.support.repository import REPOSITORY
from tests.support.rotation_world import keys_served

DAGS = REPOSITORY / "dags"
ROTATE = "opensearch_ml_rotate_credentials"
OLD, NEW, WRONG = (f"sk-canary-rotation-{name}-4Hw" for name in ("old", "new", "wrong"))
NAMES = ("first", "second")
FIND, PLAN_NEXT, SUMMARY = "find", "plan_next", "summary"

told: list[dict[str, str]] = []


class Remembering(BaseNotifier):
    """A user's notifier, with a template."""

    template_fields = ("text",)

    def __init__(self) -> None:
        super().__init__()
        self.text = "{{ rotation.text }}"

    def notify(self, context: Any) -> None:
        told.append({"subject": context["rotation"]["subject"], "text": self.text})


NOTIFIERS = [Remembering()]


def key(value: str) -> str:
    return json.dumps({"conn_type": "generic", "password": value})


@pytest.fixture
def blueprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two blueprints, each with a connection of its own, and one that is nowhere provisioned."""
    folder = tmp_path / "blueprints"
    folder.mkdir()
    text = (REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml").read_text()
    for name in (*NAMES, "nowhere"):
        document = yaml.safe_load(text)
        document["connector"]["credential"]["openAI_key"]["conn_id"] = f"key_{name}"
        document["connector"]["client_config"]["read_timeout"] = 1  # the grace is as long
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    (folder / "broken.yaml").write_text("connector: {name: broken}")
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(folder))
    return folder


@pytest.fixture
def models(connected: Cluster, endpoints: ModelEndpoints, blueprints: Path) -> Iterator[dict[str, str]]:
    """Both blueprints' models, served with the old key; their ids."""
    endpoints.replace_keys({"openai": [OLD, NEW]})
    with connections(key_first=key(OLD), key_second=key(OLD)):
        hook = OpenSearchMLHook()
        catalog = folders.catalog()
        yield {name: provision(hook, catalog.blueprint(name), {"openAI_key": OLD}) for name in NAMES}


@pytest.fixture
def rotated(run_dag: Run, models: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Runs the DAG; whom it tells is in `told`."""
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__NOTIFIERS", f"{__name__}.NOTIFIERS")
    told.clear()
    return lambda **conf: run_dag(ROTATE, folder=DAGS, **conf)


def states(run: Finished) -> dict[str, str | None]:
    return {name: str(task.state) if task.state else None for name, task in run.tasks.items()}


def events() -> dict[str, Any]:
    """The last event of each asset."""
    with create_session() as session:
        rows = session.execute(
            select(AssetModel.uri, AssetEvent.extra).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
        ).all()
    return {row[0]: row[1] for row in rows}


def test_a_run_with_nothing_to_do_maps_nothing_and_writes_nothing(
    rotated: Callable[..., Finished], connected: Cluster
) -> None:
    before = connected.writes()
    run = rotated()
    assert states(run) == {FIND: "success", "rotate": "skipped", PLAN_NEXT: "skipped", SUMMARY: "success"}
    assert connected.writes() == before
    assert "2 models: 2 unchanged, 0 rotated, 0 busy, 0 failed" in run.log
    assert "unchanged: first, second" in run.log
    assert told == []


def test_a_new_value_in_a_connection_comes_to_serve_and_is_an_event_with_the_evidence(
    rotated: Callable[..., Finished], connected: Cluster, endpoints: ModelEndpoints, models: dict[str, str]
) -> None:
    old = keys_served(endpoints, connected, models["second"])
    with connections(key_second=key(NEW)):
        run = rotated()
    assert states(run) == {FIND: "success", "rotate[0]": "success", PLAN_NEXT: "skipped", SUMMARY: "success"}
    assert (run.tasks["rotate[0]"].rendered_map_index, run.tasks["rotate[0]"].map_index) == ("second", 0)
    new = keys_served(endpoints, connected, models["second"])
    assert len(new) == 1
    assert new.isdisjoint(old)
    record = run.xcoms()["rotate[0]", "return_value"]
    assert record["outcome"] == "rotated"
    assert (record["blueprint"], record["model_id"], record["why"]) == ("second", models["second"], ["credential"])
    assert events()["opensearch-ml://tests/second"] == record
    assert run.xcoms()["rotate[0]", "opensearch_ml_model_link"].endswith(f"/_plugins/_ml/models/{models['second']}")
    everything = json.dumps([*map(str, run.xcoms().values()), events()]) + run.log
    assert [secret for secret in (OLD, NEW) if secret in everything] == []


def test_one_models_failure_stops_no_other_and_fails_the_run_with_its_cause(
    rotated: Callable[..., Finished], connected: Cluster, endpoints: ModelEndpoints, models: dict[str, str]
) -> None:
    old = keys_served(endpoints, connected, models["first"])
    with connections(key_first=key(WRONG), key_second=key(NEW)):
        run = rotated()
    assert states(run) == {
        **{FIND: "success", "rotate[0]": "failed", "rotate[1]": "success"},
        **{PLAN_NEXT: "skipped", SUMMARY: "failed"},
    }
    assert run.tasks["rotate[0]"].try_number == 1
    [message] = told
    assert message["subject"] == f"{ROTATE} failed in task {SUMMARY}"
    for words in ("1 rotated, 0 busy, 1 failed", "first   failed", "refuses the connector's credential", "fix: "):
        assert words in message["text"]
    assert keys_served(endpoints, connected, models["first"]) == old
    assert WRONG not in run.log + message["text"]


def test_a_new_url_is_trusted_before_it_serves_and_the_old_one_no_longer(
    rotated: Callable[..., Finished], connected: Cluster, blueprints: Path, models: dict[str, str]
) -> None:
    hook = OpenSearchMLHook()
    [before] = [entry for entry in hook.trusted_endpoints() if "embeddings" in entry]
    for name in NAMES:
        path = blueprints / f"{name}.yaml"
        path.write_text(path.read_text().replace("/v1/embeddings", "/v1/embeddings?team=search"))
    run = rotated()
    assert (states(run)["rotate[0]"], states(run)["rotate[1]"]) == ("success", "success")
    after = hook.trusted_endpoints()
    assert before not in after
    assert [entry.count("team=search") for entry in after if "embeddings" in entry] == [1]


def test_a_url_that_was_trusted_for_a_refused_candidate_is_withdrawn(
    rotated: Callable[..., Finished], blueprints: Path, models: dict[str, str]
) -> None:
    hook = OpenSearchMLHook()
    before = hook.trusted_endpoints()
    path = blueprints / "first.yaml"
    path.write_text(path.read_text().replace("/v1/embeddings", "/v1/embeddings?team=search"))
    with connections(key_first=key(WRONG)):
        run = rotated(blueprints=["first"])
    assert states(run)["rotate[0]"] == "failed"
    assert "accept the password of connection key_first" in told[0]["text"]
    assert "is the canary of this rotation" in told[0]["text"]
    assert hook.trusted_endpoints() == before


def test_a_blueprint_without_a_model_lets_the_cluster_call_nothing(
    rotated: Callable[..., Finished], connected: Cluster, blueprints: Path, models: dict[str, str]
) -> None:
    path = blueprints / "nowhere.yaml"
    path.write_text(path.read_text().replace("/v1/embeddings", "/v1/embeddings?team=none"))
    before = connected.writes()
    with connections(key_nowhere=key(OLD)):
        run = rotated(blueprints=["nowhere"])
    assert states(run)["rotate[0]"] == "failed"
    assert "nowhere: cannot be rotated: nowhere has nothing to rotate" in run.log
    assert connected.writes() == before


def test_a_model_whose_file_was_removed_is_named_and_the_others_are_rotated(
    rotated: Callable[..., Finished], blueprints: Path, models: dict[str, str]
) -> None:
    (blueprints / "second.yaml").unlink()
    with connections(key_first=key(NEW)):
        run = rotated()
    assert (states(run)["rotate[0]"], states(run)["rotate[1]"]) == ("success", "failed")
    [message] = told
    assert f"second has no file any more, and model {models['second']} was made from it" in message["text"]
    assert "fix: restore second.yaml" in message["text"]
    assert "Did you mean" not in run.log + message["text"]


def test_a_model_that_was_renamed_in_its_blueprint_is_named_and_no_second_one_is_made(
    rotated: Callable[..., Finished], run_dag: Run, connected: Cluster, blueprints: Path, models: dict[str, str]
) -> None:
    path = blueprints / "first.yaml"
    document = yaml.safe_load(path.read_text())
    document["model"] = {**document.get("model", {}), "name": "search_embedding"}
    path.write_text(yaml.safe_dump(document))
    words = f"the model of first stands under another name than search_embedding\n  evidence: model {models['first']}"
    assert states(rotated())["rotate[0]"] == "failed"
    assert words in told[0]["text"]
    before = connected.writes()
    run = run_dag("opensearch_ml_provision", folder=DAGS, blueprint="first")
    assert states(run)["preflight"] == "failed"
    assert "stands under another name than search_embedding" in run.log
    assert connected.writes() == before


def test_another_embedding_model_is_warned_of_in_log_table_and_event(
    rotated: Callable[..., Finished], blueprints: Path, models: dict[str, str]
) -> None:
    path = blueprints / "first.yaml"
    document = yaml.safe_load(path.read_text())
    document["connector"]["parameters"]["model"] = "text-embedding-3-large"
    path.write_text(yaml.safe_dump(document))
    run = rotated()
    record = run.xcoms()["rotate[0]", "return_value"]
    assert (record["outcome"], record["why"]) == ("rotated", ["parameters.model"])
    [warning] = record["details"]
    assert warning.startswith("parameters.model names another embedding model, whose vectors do not fit")
    assert run.log.count(warning) >= 3  # find, rotate, summary
    assert events()["opensearch-ml://tests/first"]["details"] == [warning]


def test_the_named_ones_alone_are_looked_at_and_force_rotates_what_is_right(
    rotated: Callable[..., Finished], models: dict[str, str]
) -> None:
    run = rotated(blueprints=["first"], force=True)
    assert states(run)["rotate[0]"] == "success"
    record = run.xcoms()["rotate[0]", "return_value"]
    assert (record["blueprint"], record["outcome"], record["why"]) == ("first", "rotated", ["forced"])
    # Another connector, and the same key in it: that is said wherever the rotation is told.
    assert record["old_mark"] == record["new_mark"]
    same = "the credential is the same as before: change password of connection key_first for a new one"
    assert record["details"] == [same]
    assert f"{record['new_connector']} serves; {same}" in run.log
    assert "first: to be rotated: forced (credential: password of connection key_first)" in run.log


@pytest.mark.parametrize(
    ("name", "cause"),
    [("nowhere", "nowhere has nothing to rotate"), ("broken", "blueprint broken.yaml has")],
)
def test_a_named_blueprint_that_cannot_be_rotated_says_why(
    rotated: Callable[..., Finished], name: str, cause: str
) -> None:
    with connections(key_nowhere=key(OLD)):
        run = rotated(blueprints=[name])
    assert (states(run)["rotate[0]"], states(run)[SUMMARY]) == ("failed", "failed")
    assert cause in told[0]["text"]


def test_a_cluster_that_refuses_is_told_by_the_summary_too(
    rotated: Callable[..., Finished], connected: Cluster
) -> None:
    with connections(opensearch_default=connected.connection(password="wrong-canary-Pz3")):
        run = rotated()
    assert states(run)[FIND] == "failed"
    assert states(run)[SUMMARY] == "failed"
    assert "does not accept the connection's credentials" in told[0]["text"]


# ---- as Airflow reads it


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(DAGS)
    assert bag.import_errors == {}
    return bag.dags[ROTATE]


def test_it_is_scheduled_one_run_at_a_time_and_not_for_the_past(dag: DAG) -> None:
    assert (dag.max_active_runs, dag.catchup, dag.start_date) == (1, False, None)
    assert cron_of(dag) == "17 3 * * *"
    assert {(task.retries, task.retry_delay) for task in dag.tasks} == {(2, timedelta(seconds=5))}


def test_the_summary_is_last_and_runs_whatever_happened(dag: DAG) -> None:
    assert [task.task_id for task in dag.leaves] == [SUMMARY]
    assert {dag.get_task(task).trigger_rule for task in (PLAN_NEXT, SUMMARY)} == {"all_done"}


def test_the_form_is_filled_in_and_offers_the_blueprints(dag: DAG) -> None:
    assert dag.params.validate() == {
        "blueprints": [],
        "opensearch_conn_id": "opensearch_default",
        "opensearch_admin_conn_id": "",
        "aws_conn_id": "aws_default",
        "force": False,
    }
    names = sorted(path.stem for path in (REPOSITORY / "include" / "blueprints").glob("*.yaml"))
    assert dag.params.get_param("blueprints").schema["examples"] == names


def test_the_form_refuses_a_blueprint_that_is_not_there() -> None:
    with pytest.raises(ParamValidationError, match="openai_embeding"):
        DagBag(DAGS).dags[ROTATE].params.update({"blueprints": ["openai_embeding"]})


def test_a_teardown_takes_what_a_killed_rotation_left_too(
    run_dag: Run, connected: Cluster, models: dict[str, str]
) -> None:
    def killed(step: Step, when: str) -> None:
        if (step, when) == (Step.SWITCH, "before"):
            raise KeyboardInterrupt

    hook, blueprint = OpenSearchMLHook(), folders.catalog().blueprint("second")
    with connections(key_second=key(NEW)), pytest.raises(KeyboardInterrupt):
        rotate(hook, blueprint, source_for(blueprint, hook), token="killed", on_step=killed)
    assert canaries(hook, "second")
    before = set(of_second(connected))
    run = run_dag("opensearch_ml_teardown", folder=DAGS, blueprint="second")
    assert set(states(run).values()) == {"success"}
    # The server's false 409, told in the log, is the one reason for which a connector may be left.
    assert len(of_second(connected)) == run.log.count("yet the server keeps it") < len(before)
    assert not canaries(hook, "second")
    assert hook.get_model(models["second"]) is None
    assert hook.get_model(models["first"])


def of_second(cluster: Cluster) -> list[str]:
    """The connectors of blueprint second."""
    return [
        one["id"] for one in cluster.search("connectors", {"term": {"parameters.opensearch_ml_blueprint": "second"}})
    ]
