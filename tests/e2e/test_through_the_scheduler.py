"""Through a real scheduler: the DAGs keep their promises, and a mistake ends a run with cause, evidence and fix."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.airflow_standalone import AirflowStandalone, DagRun
from local.model_endpoints.process import ModelEndpoints
from local.stack import Stack
from tests.support.cluster import Cluster
from tests.support.scheduler_runs import (
    KEPT_BY_THE_SERVER,
    ONE_OF_EACH,
    PROVISION,
    TEARDOWN,
    files_below,
    objects,
    state_of,
    told,
    tries_of,
)
from tests.support.shared_stack import ML_PASSWORD


def test_a_run_makes_a_model_that_answers_and_returns_ids_only(
    airflow: AirflowStandalone, e2e_cluster: Cluster
) -> None:
    run = airflow.run(PROVISION, {"blueprint": "openai_chat"})
    assert run.state == "success"
    model_id = run.xcom("smoke_predict")
    found = e2e_cluster.get(f"/_plugins/_ml/models/{model_id}")
    assert found["model_state"] == "DEPLOYED"
    assert (run.xcom("connector"), run.xcom("model_group")) == (found["connector_id"], found["model_group_id"])


def test_the_second_run_writes_nothing_to_the_cluster(airflow: AirflowStandalone, e2e_cluster: Cluster) -> None:
    first = airflow.run(PROVISION, {"blueprint": "openai_embedding"})
    assert first.state == "success"
    before = e2e_cluster.writes()
    second = airflow.run(PROVISION, {"blueprint": "openai_embedding"})
    assert second.state == "success"
    assert e2e_cluster.writes() == before
    assert second.xcom("smoke_predict") == first.xcom("smoke_predict")
    [event] = events_of(airflow, first)
    assert event["uri"] == "opensearch-ml://local/openai_embedding"
    assert event["extra"]["model_id"] == first.xcom("smoke_predict")
    assert [told.split()[0] for told in event["extra"]["done"]] == ["connector", "model", "model"]
    assert events_of(airflow, second) == []


def events_of(airflow: AirflowStandalone, run: DagRun) -> list[dict[str, Any]]:
    """The asset events that a run has made."""
    made_by = {"source_dag_id": run.dag_id, "source_run_id": run.run_id}
    return list(airflow.api.get("/api/v2/assets/events", params=made_by).json()["asset_events"])


def test_two_runs_at_once_make_one_of_each(airflow: AirflowStandalone, e2e_cluster: Cluster) -> None:
    runs = [airflow.trigger(PROVISION, {"blueprint": "both_at_once"}) for _ in range(2)]
    assert [run.wait() for run in runs] == ["success", "success"]
    assert len({run.xcom("model") for run in runs}) == 1
    kept = sum(KEPT_BY_THE_SERVER in told(run, "connector") for run in runs)
    assert objects(e2e_cluster, "both_at_once") == ONE_OF_EACH | {"connectors": 1 + kept}


@pytest.mark.parametrize(
    ("conf", "task", "attempts", "cause", "fix"),
    [
        (
            {"opensearch_conn_id": "os_wrong_password"},
            "preflight",
            1,
            "does not accept the connection's credentials",
            "correct login and password",
        ),
        ({"opensearch_conn_id": "os_not_there"}, "preflight", 1, "there is no connection", "create connection"),
        ({"opensearch_conn_id": "os_refused"}, "preflight", 3, "cannot be reached", "check host and port"),
        ({"opensearch_conn_id": "os_unknown_host"}, "preflight", 3, "cannot be reached", "check host and port"),
        ({"opensearch_conn_id": "os_untrusted_tls"}, "preflight", 1, "certificate is not trusted", "ca_certs"),
        ({"opensearch_conn_id": "os_ml_only"}, "trusted_endpoints", 1, "does not trust", "PUT /_cluster/settings"),
        ({"blueprint": "wrong_dimension"}, "smoke_predict", 1, "answers, but not what", "smoke_test.expect"),
        ({"blueprint": "unknown_field"}, "preflight", 1, "client_configs", "Did you mean client_config?"),
        (
            {"blueprint": "no_such_secret"},
            "preflight",
            1,
            "secrets that are not there",
            "create the Airflow connection",
        ),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else None,
)
def test_a_mistake_ends_the_run_at_once_and_leaves_nothing_that_the_next_run_minds(
    airflow: AirflowStandalone,
    e2e_cluster: Cluster,
    conf: dict[str, str],
    task: str,
    attempts: int,
    cause: str,
    fix: str,
) -> None:
    if conf.get("opensearch_conn_id") == "os_ml_only":
        forget_trusted_endpoints(airflow, e2e_cluster)
    before = e2e_cluster.writes()
    run = airflow.run(PROVISION, {"blueprint": "openai_embedding"} | conf)
    assert (run.state, state_of(run, task)) == ("failed", "failed")
    assert tries_of(run, task) == attempts
    log = told(run, task, attempts)
    assert cause in log
    assert "evidence: " in log
    assert fix in log.partition("fix: ")[2]
    if task == "preflight":
        assert e2e_cluster.writes() == before
    else:
        assert airflow.run(PROVISION, {"blueprint": "openai_embedding"}).state == "success"


def forget_trusted_endpoints(airflow: AirflowStandalone, cluster: Cluster) -> None:
    """Back to the server's own list, which does not trust this machine; the switch for private addresses stays."""
    assert airflow.run(TEARDOWN, {"blueprint": "openai_embedding"}).state == "success"
    name = "plugins.ml_commons.trusted_connector_endpoints_regex"
    cluster.request("PUT", "/_cluster/settings", json={"persistent": {name: None}}).raise_for_status()


def test_a_deployment_that_fails_ends_the_run_with_the_servers_cause(
    airflow: AirflowStandalone, e2e_cluster: Cluster
) -> None:
    assert airflow.run(PROVISION, {"blueprint": "openai_chat"}).state == "success"
    model = e2e_cluster.search("models", {"term": {"name.keyword": "openai_chat"}})[0]["id"]
    e2e_cluster.request("POST", f"/_plugins/_ml/models/{model}/_undeploy").raise_for_status()
    # No node may run a model: the server's own refusal to deploy. Preflight sees roles, and no node that is left out.
    setting = "plugins.ml_commons.exclude_nodes._name"
    [node] = e2e_cluster.get("/_cat/nodes?h=name&format=json")
    excluded = {"persistent": {setting: node["name"]}}
    e2e_cluster.request("PUT", "/_cluster/settings", json=excluded).raise_for_status()
    try:
        run = airflow.run(PROVISION, {"blueprint": "openai_chat"})
    finally:
        e2e_cluster.request("PUT", "/_cluster/settings", json={"persistent": {setting: None}}).raise_for_status()
    assert (run.state, state_of(run, "deploy")) == ("failed", "failed")
    assert "no eligible node found" in told(run, "deploy")
    assert airflow.run(PROVISION, {"blueprint": "openai_chat"}).state == "success"


def test_an_unknown_blueprint_is_refused_before_a_run_exists(airflow: AirflowStandalone) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        airflow.trigger(PROVISION, {"blueprint": "openai_embeding"})
    assert "openai_embeding" in refused.value.response.text
    assert "openai_embedding" in refused.value.response.text


def test_a_platform_that_refuses_the_key_is_told_apart_from_the_cluster(
    airflow: AirflowStandalone, e2e_endpoints: ModelEndpoints
) -> None:
    e2e_endpoints.behave(family="openai", status=401)
    run = airflow.run(PROVISION, {"blueprint": "openai_chat"})
    assert (run.state, state_of(run, "smoke_predict")) == ("failed", "failed")
    assert "the model's platform refuses the connector's credential" in told(run, "smoke_predict")
    e2e_endpoints.behave_normally()
    assert airflow.run(PROVISION, {"blueprint": "openai_chat"}).state == "success"


def test_teardown_removes_what_provisioning_made(airflow: AirflowStandalone, e2e_cluster: Cluster) -> None:
    assert airflow.run(PROVISION, {"blueprint": "openai_chat"}).state == "success"
    made = objects(e2e_cluster, "openai_chat")
    assert made["connectors"] >= 1
    assert (made["model_groups"], made["models"]) == (1, 1)
    run = airflow.run(TEARDOWN, {"blueprint": "openai_chat"})
    assert run.state == "success"
    kept = KEPT_BY_THE_SERVER in told(run, "delete_connector")
    assert objects(e2e_cluster, "openai_chat") == {"connectors": int(kept), "model_groups": 0, "models": 0}


def test_no_secret_is_in_any_log_xcom_template_dag_or_row(stack: Stack, airflow: AirflowStandalone) -> None:
    """Everything above ran at log level DEBUG, with these secrets in its connections."""
    secrets = {
        "OpenAI key": stack.keys["openai"][0],
        "admin password": stack.opensearch.admin_password,
        "wrong password": "wrong-canary-password-8Zq",
        "ml-only password": ML_PASSWORD,
    }
    own = {"secrets.json", "simple_auth_manager_passwords.json.generated"}
    files = [(path, content) for path, content in files_below(stack.folder / "airflow") if path.name not in own]
    found = [(name, path.name) for name, secret in secrets.items() for path, text in files if secret.encode() in text]
    assert found == []
    # The search does find what is there: ids, names and the masked secrets' places.
    whole = b"".join(content for _, content in files)
    assert b"openai_embedding" in whole
    assert b"DEBUG" in whole or b'"level":"debug"' in whole
