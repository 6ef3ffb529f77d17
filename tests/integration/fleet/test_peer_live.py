"""What opensearch-py-ml's command line made becomes ours: its callers notice nothing, and from then on it is managed.

The peer is installed from the package index into an environment of its own, see `benchmarks.peer`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer import command
from benchmarks.peer.command import OPENAI, Peer
from benchmarks.peer.environment import install
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.apply import apply_stage
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import approved
from opensearch_ml.reconcile.results import Outcome
from opensearch_ml.resources.changes import Kind, Plan
from tests.support.cluster import Cluster, connections
from tests.support.fleet_world import World
from tests.support.hand_made import KEY, bodies_at, differing, imported

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PREDICT = {"parameters": {"input": ["A short text."]}}
DEPLOYED_S = 30.0
SEVERAL = 3


@pytest.fixture(scope="session")
def program() -> Path:
    """The peer's program, installed if it is not there."""
    return install()


@pytest.fixture
def peer(program: Path, tmp_path: Path, empty_world: World, cluster: Cluster, endpoints: ModelEndpoints) -> Peer:
    """The peer, told the cluster; the model endpoints take the key."""
    endpoints.replace_keys({"openai": [KEY]})
    (tmp_path / "peer").mkdir()
    told = command.Cluster(cluster.url, "admin", cluster.ca_path, cluster.admin_password)
    made = Peer(program, tmp_path / "peer", told)
    made.set_up()
    return made


def test_what_the_peer_made_is_imported_adopted_unnoticed_and_swapped_once_it_changes(
    peer: Peer, empty_world: World, endpoints: ModelEndpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    world = empty_world
    body = {**bodies_at(endpoints.url)["inside"], "name": "Embeds by the peer"}
    connector_id = peer.create_connector(body)
    model_id = peer.register_model("Peer embedding", connector_id)
    _until_deployed(world, model_id)

    told, _ = imported(world, capsys)
    assert differing(world, told) == {"peer_embedding": []}
    with connections(**told):
        with _asked_all_the_time(world, model_id):
            held = _connector(world, connector_id)
            predictors = world.predictors(model_id)
            model = world.ml("GET", f"models/{model_id}")
            assert _applied(world, world.plan()) == [(Kind.ADOPT, "peer_embedding")]
            assert _connector(world, connector_id) == held
            assert world.predictors(model_id) == predictors
            after = world.ml("GET", f"models/{model_id}")
            # The server adds model_id to whatever it updates first.
            assert _changed(model, after) - {"model_id"} == {"description", "last_updated_time"}
        world.until_searchable()
        assert world.plan().changes == ()

        world.edit("peer_embedding", _another_model)
        with _asked_all_the_time(world, model_id):
            assert _applied(world, world.plan()) == [(Kind.SWAP, "peer_embedding")]
        world.until_searchable()
        assert world.plan().changes == ()
    [serving] = world.cluster.search("models")
    assert serving["id"] == model_id
    assert serving["connector_id"] != connector_id
    assert _connector(world, connector_id) == held  # whoever made it has it still


def test_the_key_that_the_peer_writes_into_a_header_is_found_and_swapped_out(
    peer: Peer, empty_world: World, endpoints: ModelEndpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    world = empty_world
    # The peer replaces the whole list by its own; what is set transiently wins.
    here = {"transient": {TRUSTED: [r"^http://127\.0\.0\.1:[0-9]+/.*$"]}}
    world.cluster.request("PUT", "/_cluster/settings", json=here).raise_for_status()
    body = bodies_at(endpoints.url)["inside"]
    body["credential"] = {"openAI_key": "${credential}"}
    body["actions"][0]["headers"] = {"Authorization": "${auth}"}
    connector_id = peer.create_connector(body, kind=OPENAI, api_key=KEY, model_name="Embedding model")
    assert KEY in _connector(world, connector_id)  # for everybody who may read connectors
    model_id = peer.register_model("Peer embedding", connector_id)
    _until_deployed(world, model_id)

    told, notes = imported(world, capsys)
    assert "connector.actions.0.headers.Authorization held the secret itself" in notes
    assert KEY not in notes + "".join(path.read_text() for path in (world.folder / "blueprints").iterdir())
    assert differing(world, told) == {"peer_embedding": ["actions.0.headers.Authorization"]}
    with connections(**told), _asked_all_the_time(world, model_id):
        assert _applied(world, world.plan()) == [(Kind.ADOPT, "peer_embedding")]
        world.until_searchable()
        assert _applied(world, world.plan()) == [(Kind.SWAP, "peer_embedding")]
        world.until_searchable()
        assert world.plan().changes == ()
    [serving] = world.cluster.search("models")
    assert KEY not in _connector(world, serving["connector_id"])


def test_several_that_the_peer_made_in_turn_are_adopted_at_once(
    peer: Peer, empty_world: World, endpoints: ModelEndpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    world = empty_world
    names = [f"peer_{number:02}" for number in range(SEVERAL)]
    took = command.provision(peer, names, bodies_at(endpoints.url)["inside"])
    for one in took:
        _until_deployed(world, one.model_id)
    told, _ = imported(world, capsys)
    with connections(**told):
        started = time.monotonic()
        assert sorted(_applied(world, world.plan())) == [(Kind.ADOPT, name) for name in names]
        adopted_s = time.monotonic() - started
        world.until_searchable()
        assert world.plan().changes == ()
    told_s = ", ".join(f"{one.connector_s:.1f} + {one.model_s:.1f}" for one in took)
    print(f"{SEVERAL} by the peer took {told_s} s; adopted in {adopted_s:.1f} s")


def _another_model(document: dict[str, Any]) -> dict[str, Any]:
    document["connector"]["parameters"]["model"] = "text-embedding-3-large"
    return document


def _applied(world: World, plan: Plan) -> list[tuple[Kind, str]]:
    """Apply all of a plan, as a run does, and return what of it was done."""
    target, _ = world.catalog.fleet("t")
    applying = ApplyContext(OpenSearchMLHook(), world.catalog, target, None, None, token=f"run-{time.time_ns()}")
    done = [
        one
        for stage in plan.stages()
        for one in apply_stage(applying, approved(stage), on_done=lambda applied, done, of: None)
    ]
    assert {one.outcome for one in done} <= {Outcome.DONE}, done
    return [(Kind(kind), one.what) for one in done for kind in one.kinds]


def _connector(world: World, connector_id: str) -> str:
    """A connector, byte by byte."""
    answer = world.cluster.request("GET", f"/_plugins/_ml/connectors/{connector_id}")
    answer.raise_for_status()
    return answer.text


def _changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _until_deployed(world: World, model_id: str) -> None:
    until = time.monotonic() + DEPLOYED_S
    while world.ml("GET", f"models/{model_id}")["model_state"] != "DEPLOYED":
        assert time.monotonic() < until
        time.sleep(0.1)


@contextmanager
def _asked_all_the_time(world: World, model_id: str) -> Iterator[None]:
    """A caller of the model: every predict that he sends is answered."""
    ended = threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        while not ended.is_set():
            answer = world.cluster.request("POST", f"/_plugins/_ml/models/{model_id}/_predict", json=PREDICT)
            statuses.append(answer.status_code)

    caller = threading.Thread(target=ask)
    caller.start()
    try:
        yield
    finally:
        ended.set()
        caller.join()
    assert statuses
    assert set(statuses) == {200}, json.dumps(statuses)
