"""Every operator in somebody else's DAG, on its own, against the real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.definitions.operatorlink import XComOperatorLink

from local.model_endpoints.process import ModelEndpoints
from opensearch_ml import assets
from opensearch_ml.links import OpenSearchConnectorLink, OpenSearchModelLink
from tests.support.cluster import OPENAI_KEY, Cluster, connections, write_target
from tests.support.dag_runs import Run

EMBEDDING = "openai_embedding"
PREFIX = "plugins.ml_commons."
ID = re.compile(r"[A-Za-z0-9_-]{20}")


def settings_of(cluster: Cluster) -> dict[str, Any]:
    found = cluster.get("/_cluster/settings?flat_settings=true")["persistent"]
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def mapping_of(cluster: Cluster, role: str = "ml_full_access") -> dict[str, list[str]] | None:
    answer = cluster.request("GET", f"/_plugins/_security/api/rolesmapping/{role}")
    return answer.json()[role] if answer.ok else None


# ---- what the whole cluster shares


def test_settings_are_those_that_the_argument_says(connected: Cluster, run_dag: Run) -> None:
    assert run_dag("settings", private_ip=True).state == "success"
    assert settings_of(connected) == {"connector.private_ip_enabled": "true"}
    assert run_dag("settings", private_ip=False).state == "success"
    assert settings_of(connected) == {"connector.private_ip_enabled": "false"}


def test_settings_may_be_one_template_where_templates_are_objects(connected: Cluster, run_dag: Run) -> None:
    done = run_dag("settings_as_one", settings={"private_ip_enabled": True, "only_run_on_ml_node": False})
    assert done.state == "success"
    assert settings_of(connected) == {"connector.private_ip_enabled": "true", "only_run_on_ml_node": "false"}


def test_settings_are_the_targets_without_an_argument(connected: Cluster, run_dag: Run) -> None:
    assert run_dag("settings_of_the_target").state == "success"
    assert settings_of(connected) == {"connector.private_ip_enabled": "true"}


def test_an_argument_of_nothing_changes_nothing(connected: Cluster, run_dag: Run) -> None:
    assert run_dag("settings_as_one", settings={}).state == "success"
    assert settings_of(connected) == {}


def test_a_role_is_mapped_to_whom_the_argument_says_and_others_stay(connected: Cluster, run_dag: Run) -> None:
    assert run_dag("roles", user="first").state == "success"
    assert run_dag("roles", user="second").state == "success"
    mapping = mapping_of(connected)
    assert mapping
    assert mapping["users"] == ["first", "second"]


def test_roles_are_the_targets_without_an_argument(
    connected: Cluster, run_dag: Run, airflow_home: Path, endpoints: ModelEndpoints
) -> None:
    write_target(airflow_home, endpoints, role_mapping={"ml_full_access": {"backend_roles": ["of-the-target"]}})
    assert run_dag("roles_of_the_target").state == "success"
    mapping = mapping_of(connected)
    assert mapping
    assert mapping["backend_roles"] == ["of-the-target"]


@pytest.fixture
def _of_an_ml_user(connected: Cluster) -> Iterator[None]:
    """opensearch_default is of somebody who may use ML Commons, and nothing else."""
    connected.add_user("plain", "canary-9Lp-Vt4-Qd8", [])
    connected.restrict_role("plain", ["cluster:admin/opensearch/ml/*", "cluster:monitor/*"], ["plain"])
    plain, admin = connected.connection(login="plain"), connected.connection()
    with connections(opensearch_default=plain, of_an_administrator=admin):
        yield


@pytest.mark.usefixtures("_of_an_ml_user")
def test_an_administrators_connection_writes_what_that_of_the_models_may_not(connected: Cluster, run_dag: Run) -> None:
    done = run_dag("by_an_administrator", blueprint=EMBEDDING, admin="of_an_administrator")
    assert {task.state for task in done.tasks.values()} == {"success"}
    written = settings_of(connected)
    assert written["connector.private_ip_enabled"] == "true"
    assert any("opensearchml" in entry for entry in written["trusted_connector_endpoints_regex"])
    assert (mapping_of(connected) or {})["users"] == ["someone"]


@pytest.mark.usefixtures("_of_an_ml_user")
def test_without_an_administrator_each_write_is_refused_once_and_told(connected: Cluster, run_dag: Run) -> None:
    done = run_dag("by_an_administrator", blueprint=EMBEDDING, admin="")
    assert {(task.state, task.try_number) for task in done.tasks.values()} == {("failed", 1)}
    assert "plain lacks cluster:admin/settings/update, which is not in ml_full_access" in done.log
    assert "the connection's user may not change the Security plugin's configuration" in done.log
    assert "the cluster does not trust" in done.log
    assert settings_of(connected) == {}
    assert mapping_of(connected) is None


@pytest.mark.parametrize(
    ("dag_id", "evidence", "fixes"),
    [
        (
            "wrong_settings",
            ["settings.private_ip_enable: unknown field", "settings.log_level: unknown field"],
            ["Did you mean private_ip_enabled?", "Known here: connector_access_control_enabled"],
        ),
        ("settings_as_text", ["settings: Input should be a valid dictionary"], ["Correct settings."]),
        (
            "wrong_roles",
            ["role_mapping.ml_full_access.backend_role: unknown field"],
            ["Did you mean backend_roles?"],
        ),
    ],
)
def test_a_wrong_argument_is_told_once_with_all_findings_before_anything_is_written(
    connected: Cluster, run_dag: Run, dag_id: str, evidence: list[str], fixes: list[str]
) -> None:
    done = run_dag(dag_id)
    assert done.state == "failed"
    assert done.tasks["it"].try_number == 1
    assert "given to task it has" in done.log
    assert "nothing was written" in done.log
    told = done.log.partition("nothing was written")[2]
    for words in [*evidence, *fixes]:
        assert words in told
    assert settings_of(connected) == {}
    assert mapping_of(connected) is None
    assert mapping_of(connected, "ml_read_access") is None


def test_trusted_endpoints_are_added_and_removed(connected: Cluster, run_dag: Run, endpoints: ModelEndpoints) -> None:
    assert run_dag("trusted_endpoints", blueprint=EMBEDDING).state == "success"
    added = settings_of(connected)["trusted_connector_endpoints_regex"]
    assert run_dag("remove_trusted_endpoints", blueprint=EMBEDDING).state == "success"
    (ours,) = set(added) - set(settings_of(connected)["trusted_connector_endpoints_regex"])
    assert endpoints.url.rpartition(":")[2] in ours


# ---- a model, from its preflight to its end


@pytest.fixture
def ready(connected: Cluster, run_dag: Run) -> Cluster:
    """A cluster that may call the model endpoints."""
    assert run_dag("settings_of_the_target").state == "success"
    assert run_dag("trusted_endpoints", blueprint=EMBEDDING).state == "success"
    return connected


def test_each_step_takes_its_ids_from_params_and_returns_one(ready: Cluster, run_dag: Run) -> None:
    assert run_dag("preflight", blueprint=EMBEDDING).returned is None
    assert run_dag("iam_role", blueprint=EMBEDDING).returned is None
    connector = run_dag("connector", blueprint=EMBEDDING).returned
    group = run_dag("model_group", blueprint=EMBEDDING).returned
    model = run_dag("model", blueprint=EMBEDDING, model_group_id=group, connector_id=connector).returned
    task = run_dag("deploy", model_id=model).returned
    assert run_dag("deployed", model_id=model).returned == model
    assert run_dag("predict", blueprint=EMBEDDING, model_id=model).returned == model
    found = ready.get(f"/_plugins/_ml/models/{model}")
    assert (found["connector_id"], found["model_group_id"], found["model_state"]) == (connector, group, "DEPLOYED")
    assert ready.get(f"/_plugins/_ml/tasks/{task}")["model_id"] == model
    assert all(map(ID.fullmatch, (connector, group, model, task)))
    assert run_dag("deploy", model_id=model).returned is None

    for dag_id in ("undeploy", "delete_model", "delete_connector", "delete_model_group", "delete_iam_role"):
        done = run_dag(dag_id, blueprint=EMBEDDING)
        assert (done.state, done.returned) == ("success", None)
    assert [ready.search(kind) for kind in ("models", "connectors", "model_groups")] == [[], [], []]


def test_nothing_but_ids_and_addresses_is_left_in_airflow(ready: Cluster, run_dag: Run) -> None:
    connector = run_dag("connector", blueprint=EMBEDDING)
    group = run_dag("model_group", blueprint=EMBEDDING).returned
    ids = {"model_group_id": group, "connector_id": connector.returned}
    model = run_dag("model", blueprint=EMBEDDING, **ids)
    assert set(connector.xcoms()) == {
        ("it", "return_value"),
        ("it", OpenSearchConnectorLink.key),
        ("it", "_link_OpenSearchConnectorLink"),
        ("it", assets.NOTED),
    }
    assert set(connector.xcoms().values()) == {
        connector.returned,
        f"{ready.url}/_plugins/_ml/connectors/{connector.returned}",
        f"connector of {EMBEDDING} {connector.returned} created",
    }
    assert set(model.xcoms().values()) == {
        model.returned,
        f"{ready.url}/_plugins/_ml/models/{model.returned}",
        f"model {EMBEDDING} {model.returned} created",
    }
    everything = json.dumps([connector.log, model.log, str(connector.xcoms()), str(model.xcoms())])
    for secret in (OPENAI_KEY, ready.admin_password):
        assert secret not in everything


def test_the_page_in_airflow_links_to_what_was_made(ready: Cluster, run_dag: Run) -> None:
    done = run_dag("connector", blueprint=EMBEDDING)
    # As the API server asks: by what the worker left, knowing nothing of our classes.
    link = XComOperatorLink(name=OpenSearchConnectorLink.name, xcom_key="_link_OpenSearchConnectorLink")
    url = link.get_link(None, ti_key=done.tasks["it"].key)  # type: ignore[arg-type]  # it looks at no operator
    assert ready.get(url.removeprefix(ready.url))["name"] == "OpenAI embedding"


def test_a_task_that_made_nothing_links_to_nothing(connected: Cluster, run_dag: Run) -> None:
    done = run_dag("connector", blueprint=EMBEDDING)  # its URL is not trusted
    assert done.state == "failed"
    assert "the cluster does not trust the connector's URL" in done.log
    for link in (OpenSearchConnectorLink, OpenSearchModelLink):
        asked = XComOperatorLink(name=link.name, xcom_key=f"_link_{link.__name__}")
        assert asked.get_link(None, ti_key=done.tasks["it"].key) == ""  # type: ignore[arg-type]  # it looks at no operator
    assert "Failed to push an xcom for task operator extra link" not in done.log


# ---- what cannot work


@pytest.fixture
def _broken_connections(connected: Cluster) -> Iterator[None]:
    whole = json.loads(connected.connection())
    with connections(
        wrong_password=json.dumps(whole | {"password": "wrong-canary-4Tz"}), refused=json.dumps(whole | {"port": 9})
    ):
        yield


@pytest.mark.usefixtures("_broken_connections")
@pytest.mark.parametrize(
    ("cluster", "attempts", "cause"),
    [
        ("wrong_password", 1, "the cluster does not accept the connection's"),
        ("refused", 2, "the cluster cannot be reached"),
    ],
)
def test_only_what_may_pass_is_tried_again(run_dag: Run, cluster: str, attempts: int, cause: str) -> None:
    done = run_dag("preflight_with_retries", cluster=cluster)
    assert (done.state, done.tasks["it"].try_number) == ("failed", attempts)
    assert cause in done.log
    assert "evidence: GET /" in done.log
    assert "fix: " in done.log
    assert "wrong-canary-4Tz" not in done.log


@pytest.mark.parametrize("dag_id", ["deploy", "deployed", "predict"])
def test_a_model_that_is_not_there_is_told(connected: Cluster, run_dag: Run, dag_id: str) -> None:
    done = run_dag(dag_id, model_id="no-such-model", **({"blueprint": EMBEDDING} if dag_id == "predict" else {}))
    assert done.state == "failed"
    assert "no-such-model" in done.log.partition("evidence: ")[2]


def test_a_blueprint_that_is_not_there_is_told_with_the_nearest_name(connected: Cluster, run_dag: Run) -> None:
    done = run_dag("connector", blueprint="openai_embeding")
    assert done.state == "failed"
    assert "Did you mean openai_embedding?" in done.log
