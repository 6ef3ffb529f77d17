"""The way of a blueprint into the cluster and out of it, step by step, on the real server of each version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import (
    DeployFailed,
    InUse,
    NotFound,
    RemoteModelBusy,
    RemoteModelRefused,
    SmokeTestFailed,
    Unreachable,
    UntrustedEndpoint,
)
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import persistently
from opensearch_ml.steps.cluster_settings import remove_trusted_endpoints
from opensearch_ml.steps.connector import delete_connectors, ensure_connector
from opensearch_ml.steps.deployment import start_deployment, undeploy
from opensearch_ml.steps.model import delete_model_group, delete_models, ensure_model, ensure_model_group
from opensearch_ml.steps.predict import smoke_predict
from tests.support.cluster import OPENAI_KEY, Cluster
from tests.support.provisioning import CREDENTIAL, prepare, provision, until_deployed
from tests.support.threads import at_once

Make = Callable[..., Blueprint]


def teardown(hook: OpenSearchMLHook, blueprint: Blueprint) -> None:
    """All steps of the way back, as the DAG runs them."""
    undeploy(hook, blueprint)
    delete_models(hook, blueprint)
    delete_connectors(hook, blueprint.name)
    delete_model_group(hook, blueprint)
    remove_trusted_endpoints(hook)


def objects(cluster: Cluster) -> dict[str, int]:
    return {kind: len(cluster.search(kind)) for kind in ("connectors", "model_groups", "models")}


ONE_OF_EACH = {"connectors": 1, "model_groups": 1, "models": 1}
NONE = {"connectors": 0, "model_groups": 0, "models": 0}


@pytest.fixture(params=[False, True], ids=["standalone", "internal"])
def either(request: pytest.FixtureRequest, make_blueprint: Make) -> Blueprint:
    return make_blueprint(inline=request.param)


def test_a_blueprint_becomes_a_model_that_answers_with_its_own_credential(
    cluster: Cluster, hook: OpenSearchMLHook, either: Blueprint, endpoints: ModelEndpoints
) -> None:
    model_id = provision(hook, either)
    assert cluster.get(f"/_plugins/_ml/models/{model_id}")["model_state"] == "DEPLOYED"
    assert endpoints.counts_by_fingerprint() == {bearer_fingerprint(OPENAI_KEY): 1}


def test_the_second_run_writes_nothing(cluster: Cluster, hook: OpenSearchMLHook, either: Blueprint) -> None:
    first = provision(hook, either)
    before = cluster.writes()
    assert provision(hook, either) == first
    assert cluster.writes() == before


def test_runs_at_the_same_time_make_one_of_each(cluster: Cluster, hook: OpenSearchMLHook, either: Blueprint) -> None:
    results = at_once(5, lambda: provision(OpenSearchMLHook(), either))
    assert len(set(results)) == 1
    assert objects(cluster) == ONE_OF_EACH | {"connectors": 0 if either.inline else 1}


def test_teardown_leaves_nothing_of_ours(cluster: Cluster, hook: OpenSearchMLHook, either: Blueprint) -> None:
    defaults = hook.trusted_endpoints()
    provision(hook, either)
    assert hook.trusted_endpoints() != defaults
    teardown(hook, either)
    assert objects(cluster) == NONE
    assert hook.trusted_endpoints() == defaults
    before = cluster.writes()
    teardown(hook, either)
    assert cluster.writes() == before


def test_teardown_leaves_what_others_made_and_use(
    cluster: Cluster, hook: OpenSearchMLHook, blueprint: Blueprint, endpoints: ModelEndpoints
) -> None:
    model_id = provision(hook, blueprint)
    ours = cluster.get(f"/_plugins/_ml/models/{model_id}")
    theirs = dict(cluster.search("connectors")[0], name="theirs", credential={"key": "x"}, parameters={})
    theirs = {k: v for k, v in theirs.items() if k not in ("id", "created_time", "last_updated_time")}
    created = cluster.request("POST", "/_plugins/_ml/connectors/_create", json=theirs)
    their_connector = created.json()["connector_id"]
    body = {"name": "theirs", "function_name": "remote", "model_group_id": ours["model_group_id"]}
    on_ours = body | {"connector_id": ours["connector_id"]}
    their_model = cluster.request("POST", "/_plugins/_ml/models/_register", json=on_ours).json()["model_id"]

    teardown(hook, blueprint)

    left = {kind: [found["id"] for found in cluster.search(kind)] for kind in NONE}
    assert left["models"] == [their_model]
    assert sorted(left["connectors"]) == sorted([ours["connector_id"], their_connector])
    assert left["model_groups"] == [ours["model_group_id"]]
    assert any("opensearchml" in entry for entry in hook.trusted_endpoints())


def test_a_lost_answer_makes_no_second_object(
    cluster: Cluster, hook: OpenSearchMLHook, blueprint: Blueprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = ["create_connector", "create_model_group", "register_model"]
    lost = []

    def losing_the_first_answer(name: str) -> Callable[..., str]:
        send = getattr(hook, name)

        def call(body: Any) -> str:
            made: str = send(body)
            if name not in lost:
                lost.append(name)
                raise Unreachable("the answer was lost", evidence=made, fix="")
            return made

        return call

    for name in writes:
        monkeypatch.setattr(hook, name, losing_the_first_answer(name))
    provision(hook, blueprint)
    assert lost == writes
    assert objects(cluster) == ONE_OF_EACH


def test_a_changed_blueprint_replaces_a_connector_that_nobody_uses(
    cluster: Cluster, hook: OpenSearchMLHook, make_blueprint: Make
) -> None:
    prepare(hook, make_blueprint())
    first = ensure_connector(hook, make_blueprint(), CREDENTIAL)
    second = ensure_connector(hook, make_blueprint(connector__description="changed"), CREDENTIAL)
    third = ensure_connector(hook, make_blueprint(connector__description="changed"), {"openAI_key": "another"})
    assert [bool(c) for c in (first, second, third)] == [True, True, True]
    assert len({first.id, second.id, third.id}) == 3
    # The server may take one for used that is not (ids with "-"); that is told, and the next run tries again.
    assert len(cluster.search("connectors")) == 1 + f"{second} {third}".count("a later run tries again")


def test_a_changed_blueprint_leaves_a_connector_in_use_alone_and_says_what_differs(
    cluster: Cluster, hook: OpenSearchMLHook, make_blueprint: Make, either: Blueprint
) -> None:
    model_id = provision(hook, either)
    changed = make_blueprint(inline=either.inline, connector__parameters={"model": "another"})
    before = cluster.writes()
    with pytest.raises(InUse) as raised:
        provision(hook, changed, {"openAI_key": "a new key"})
    assert "parameters.model" in raised.value.evidence
    assert "credential" in raised.value.evidence
    assert "a new key" not in str(raised.value)
    assert cluster.writes() == before
    assert smoke_predict(hook, either, model_id)


def test_an_interrupted_teardown_is_undone_by_provisioning(
    cluster: Cluster, hook: OpenSearchMLHook, blueprint: Blueprint
) -> None:
    model_id = provision(hook, blueprint)
    undeploy(hook, blueprint)
    assert cluster.get(f"/_plugins/_ml/models/{model_id}")["is_enabled"] is False
    assert provision(hook, blueprint) == model_id


def test_a_models_own_fields_are_mended_in_place(
    cluster: Cluster, hook: OpenSearchMLHook, make_blueprint: Make
) -> None:
    limited = {"limit": 1000, "unit": "SECONDS"}
    rich = make_blueprint(
        model__description="first", model__rate_limiter=limited, model__interface={"input": {"type": "object"}}
    )
    model_id = provision(hook, rich)
    before = cluster.writes()
    assert provision(hook, rich) == model_id
    assert cluster.writes() == before
    changed = make_blueprint(model__description="second", model__rate_limiter=limited | {"limit": 2000})
    assert provision(hook, changed) == model_id
    found = cluster.get(f"/_plugins/_ml/models/{model_id}")
    assert found["description"] == "second"
    assert float(found["rate_limiter"]["limit"]) == 2000


def test_a_group_of_that_name_is_reused_and_survives_teardown(
    cluster: Cluster, hook: OpenSearchMLHook, make_blueprint: Make
) -> None:
    made = cluster.request("POST", "/_plugins/_ml/model_groups/_register", json={"name": "shared"}).json()
    grouped = make_blueprint(model__group="shared")
    model_id = provision(hook, grouped)
    assert cluster.get(f"/_plugins/_ml/models/{model_id}")["model_group_id"] == made["model_group_id"]
    teardown(hook, grouped)
    assert [group["id"] for group in cluster.search("model_groups")] == [made["model_group_id"]]


def test_an_untrusted_url_is_refused_with_the_servers_words(hook: OpenSearchMLHook, blueprint: Blueprint) -> None:
    with pytest.raises(UntrustedEndpoint) as raised:
        ensure_connector(hook, blueprint, CREDENTIAL)
    assert "Connector URL is not matching the trusted connector endpoint regex" in raised.value.evidence
    assert "POST /_plugins/_ml/connectors/_create -> 400" in raised.value.evidence


def test_a_deployment_that_fails_tells_the_servers_cause(
    cluster: Cluster, hook: OpenSearchMLHook, blueprint: Blueprint
) -> None:
    prepare(hook, blueprint)
    connector_id = ensure_connector(hook, blueprint, CREDENTIAL).id
    group_id = ensure_model_group(hook, blueprint).id
    model_id = ensure_model(hook, blueprint, model_group_id=group_id, connector_id=connector_id).id
    gone = {"connector_id": "no-such-connector"}
    cluster.request("PUT", f"/_plugins/_ml/models/{model_id}", json=gone).raise_for_status()
    task_id = start_deployment(hook, model_id)
    with pytest.raises(DeployFailed) as raised:
        persistently(lambda: until_deployed(hook, model_id, task_id))
    assert "Failed to find connector" in raised.value.evidence
    # The model alone tells too, for a sensor that has no task.
    with pytest.raises(DeployFailed, match="Failed to find connector"):
        persistently(lambda: until_deployed(hook, model_id, None))
    assert provision(hook, blueprint) == model_id


def test_a_deployment_of_nothing_is_an_error(hook: OpenSearchMLHook) -> None:
    with pytest.raises(NotFound, match="no model missing"):
        start_deployment(hook, "missing")


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ({"status": 401}, RemoteModelRefused, "refuses the connector's credential"),
        ({"status": 429}, RemoteModelBusy, "throttling"),
        ({"status": 500}, RemoteModelBusy, "failing"),
        ({"dimension": 100}, SmokeTestFailed, "should have dimension 384"),
    ],
    ids=["401", "429", "500", "dimension"],
)
def test_a_smoke_predict_tells_what_is_wrong_with_the_models_answer(
    hook36: OpenSearchMLHook,
    blueprint: Blueprint,
    endpoints: ModelEndpoints,
    behaviour: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    model_id = provision(hook36, blueprint)
    endpoints.behave(family="openai", **behaviour)
    with pytest.raises(error, match=words) as raised:
        smoke_predict(hook36, blueprint, model_id)
    assert OPENAI_KEY not in str(raised.value)
