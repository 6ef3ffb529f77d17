"""Preflight: what this very cluster would not understand is told before the first write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.errors import InUse, InvalidConnection, OpenSearchMLError, RequestRefused
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.operators.preflight import OpenSearchPreflightOperator
from opensearch_ml.rotation.sources import check_source
from opensearch_ml.steps.preflight import ELIGIBLE_ROLES, preflight
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.provisioning import provision
from tests.support.repository import REPOSITORY

OPENAI = f'{{"conn_type": "http", "password": "{OPENAI_KEY}"}}'


def test_a_field_that_the_servers_version_lacks_is_refused_and_nothing_is_written(
    cluster: Cluster, hook: OpenSearchMLHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml").read_text()
    gated = text.replace("connection_timeout: 5", "connection_timeout: 5\n    skip_ssl_verification: false")
    (tmp_path / "gated.yaml").write_text(gated)
    monkeypatch.setenv("AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER", str(tmp_path))
    preflight = OpenSearchPreflightOperator(task_id="preflight", blueprint="gated")
    before = cluster.writes()
    with connections(openai_default=OPENAI):
        if hook.version >= (3, 5):
            preflight.execute({})
        else:
            with pytest.raises(AirflowFailException) as raised:
                preflight.execute({})
            assert "skip_ssl_verification: needs OpenSearch 3.5, and the cluster runs 2.19.1" in str(raised.value)
            assert "Remove connector.client_config.skip_ssl_verification" in str(raised.value)
    assert cluster.writes() == before


def test_a_cluster_without_a_node_that_runs_remote_models_is_told_as_that(
    cluster: Cluster, hook: OpenSearchMLHook, blueprint: Blueprint
) -> None:
    assert problems(hook, blueprint) == []
    cluster.request(
        "PUT", "/_cluster/settings", json={"persistent": {ELIGIBLE_ROLES: ["ml", "warm"]}}
    ).raise_for_status()
    (problem,) = problems(hook, blueprint)
    assert isinstance(problem, RequestRefused)
    assert problem.cause == "the cluster has no node that may run a remote model"
    assert problem.evidence.startswith(f"{ELIGIBLE_ROLES} is ['ml', 'warm']; the nodes have ['cluster_manager', 'data'")
    with pytest.raises(OpenSearchMLError, match="no eligible node"):
        provision(hook, blueprint)


def test_a_role_of_several_is_enough(cluster36: Cluster, hook36: OpenSearchMLHook, blueprint: Blueprint) -> None:
    for roles in (["ml", "data"], "ml, data"):
        cluster36.request("PUT", "/_cluster/settings", json={"persistent": {ELIGIBLE_ROLES: roles}}).raise_for_status()
        assert problems(hook36, blueprint) == []


def test_a_wrong_connection_is_told_once(blueprint: Blueprint) -> None:
    hook = OpenSearchMLHook("nobody")
    with connections(openai_default=OPENAI), pytest.raises(InvalidConnection, match="there is no connection nobody"):
        preflight(
            hook,
            hook,
            lambda: blueprint,
            Target(name="t"),
            aws_conn_id="aws_default",
            check_source=lambda blueprint: check_source(blueprint, hook),
        ).conclude("a")


def problems(hook: OpenSearchMLHook, blueprint: Blueprint) -> list[OpenSearchMLError]:
    """What preflight has to say of a blueprint."""
    with connections(openai_default=OPENAI):
        return preflight(
            hook,
            hook,
            lambda: blueprint,
            Target(name="t"),
            aws_conn_id="aws_default",
            check_source=lambda blueprint: check_source(blueprint, hook),
        ).problems


def test_a_model_under_another_name_is_refused_and_another_one_on_our_connector_is_not(
    hook36: OpenSearchMLHook, make_blueprint: Callable[..., Blueprint]
) -> None:
    blueprint = make_blueprint()
    assert problems(hook36, blueprint) == []  # nothing is there yet
    model = hook36.get_model(provision(hook36, blueprint))
    assert model
    theirs = hook36.register_model(
        {
            "name": "theirs",
            "function_name": "remote",
            "model_group_id": model["model_group_id"],
            "connector_id": model["connector_id"],
        }
    )
    assert problems(hook36, blueprint) == []
    (problem,) = problems(hook36, make_blueprint(model__name="renamed"))
    assert isinstance(problem, InUse)
    assert problem.cause == "the model of openai_embedding stands under another name than renamed"
    assert "(openai_embedding)" in problem.evidence
    assert f"{theirs} (theirs)" in problem.evidence
