"""Rotations under a steady load: no predict is lost, and none carries an old key once its grace has passed.

Both sides count: the client every answer, and the model endpoint the key that each request carried. An old key is
refused by the endpoint from the moment the swap says that it may be, so that one late call would fail.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from local.opensearch import OpenSearchCluster
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import RotationRecord, Step
from opensearch_ml.rotation.swap import rotate
from tests.support.cluster import Cluster, connections
from tests.support.provisioning import prepare, provision
from tests.support.rotation_world import QUICK, Keys, left, load, requests_with

pytestmark = pytest.mark.slow  # make test-rotation

Source = Callable[..., Keys]
Chat = Callable[..., Blueprint]
HELLO = {"parameters": {"messages": [{"role": "user", "content": "Say hello."}]}}
PER_SECOND = 60  # what a loaded machine really gets out must stay above 50
QUIET_S = 3.0
CLIENT = {"connection_timeout": 2, "read_timeout": 1, "max_connection": 400}


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two processes."""
    opensearch = OpenSearchCluster(tmp_path_factory.mktemp("two") / "os", nodes=2, preferred_port=0)
    try:
        opensearch.start()
        opensearch.wait_until_healthy()
        yield Cluster(opensearch, "3.6.0")
    finally:
        opensearch.delete()


def rotations_under_load(
    cluster: Cluster,
    endpoints: ModelEndpoints,
    source: Source,
    blueprints: list[Blueprint],
    *,
    rotations: int,
    per_second: float = PER_SECOND,
    print_as: str,
) -> list[RotationRecord]:
    """Rotate again and again, each time to a key of its own, through the blueprints by turns, and count everything."""
    keys = [f"sk-load-{number}-only-in-tests" for number in range(rotations + 1)]
    endpoints.replace_keys({"openai": keys})
    records: list[RotationRecord] = []
    with connections(opensearch_default=cluster.connection()):
        hook = OpenSearchMLHook()
        for blueprint in blueprints:
            prepare(hook, blueprint)
        model_id = provision(hook, blueprints[0], {"openAI_key": keys[0]})
        before = left(cluster)
        endpoints.forget_requests()
        with load(cluster, model_id, HELLO, per_second=per_second, urls=cluster.opensearch.urls) as seen:
            time.sleep(QUIET_S)  # the load alone, to compare with
            for number in range(1, rotations + 1):
                old, new = keys[number - 1 : number + 1]
                wanted = source(new, known=old, on_retire=lambda old=old: endpoints.refuse_key(bearer_fingerprint(old)))
                blueprint = blueprints[number % len(blueprints)]
                records.append(rotate(hook, blueprint, wanted, token=f"load-{number}", limits=QUICK))
        assert left(cluster) == before
    assert seen.failed == []
    assert {record.outcome for record in records} == {"rotated"}
    assert {record.model_id for record in records} == {model_id}
    assert {record.nodes for record in records} == {len(cluster.opensearch.urls)}
    late = [requests_with(endpoints, keys[n], start(one, Step.RETIRE), time.time()) for n, one in enumerate(records)]
    assert late == [0] * rotations
    swaps = [(start(one, Step.SWITCH), start(one, Step.PROMOTE)) for one in records]
    runs = [(start(one, Step.CLAIM), start(one, Step.PROMOTE)) for one in records]
    told = {
        "rotations": rotations,
        "predicts": len(seen.answers),
        "per_second": round(seen.per_second, 1),
        "failed": len(seen.failed),
        "old_key_after_grace": sum(late),
        "p99_ms_from_claim_to_proof": round(seen.p99_ms(runs)),
        "p99_ms_from_switch_to_proof": round(seen.p99_ms(swaps)) if rotations > 5 else None,
        "p99_ms_outside": round(seen.p99_ms(runs, outside=True)),
        "switch_to_proof_s": round(max(b - a for a, b in swaps), 2),
    }
    print(f"\n{print_as}: {json.dumps(told)}")
    assert rotations < 50 or seen.per_second >= 50  # a short run proves the swap, and may share its machine
    return records


def start(record: RotationRecord, step: Step) -> float:
    return datetime.fromisoformat(next(one.started for one in record.steps if one.step == step.value)).timestamp()


@pytest.mark.parametrize(
    ("inline", "rotations"),
    [
        pytest.param(False, 5, id="standalone"),
        pytest.param(True, 3, id="internal"),
        pytest.param(False, 50, id="standalone-50"),
        pytest.param(True, 50, id="internal-50"),
    ],
)
@pytest.mark.timeout(900)
def test_rotations_lose_no_predict(
    cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool, rotations: int
) -> None:
    blueprint = chat(inline=inline, client_config=CLIENT)
    print_as = "one node, internal" if inline else "one node"
    rotations_under_load(cluster36, keys, source, [blueprint], rotations=rotations, print_as=print_as)


@pytest.mark.timeout(900)
def test_rotations_lose_no_predict_on_the_older_version(
    start_cluster: Callable[[str], Cluster], chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    cluster = start_cluster("2.19.1")
    cluster.clean()
    rotations_under_load(cluster, keys, source, [chat(client_config=CLIENT)], rotations=50, print_as="2.19.1, one node")
    cluster.clean()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("inline", [False, True], ids=["standalone", "internal"])
def test_rotations_lose_no_predict_on_two_nodes(
    two_nodes: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool
) -> None:
    two_nodes.clean()
    blueprint = chat(inline=inline, client_config=CLIENT)
    rotations_under_load(two_nodes, keys, source, [blueprint], rotations=50, print_as=f"two nodes, internal: {inline}")


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("inline", "rotations"),
    [
        pytest.param(False, 5, id="standalone"),
        pytest.param(True, 5, id="internal"),
        pytest.param(False, 50, id="standalone-50"),
    ],
)
def test_rotations_lose_no_call_in_flight(
    cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool, rotations: int
) -> None:
    keys.behave(family="openai", delay_s=2.0)
    blueprint = chat(inline=inline, client_config=CLIENT | {"read_timeout": 5})
    print_as = f"2 s in flight, internal: {inline}"
    rotations_under_load(cluster36, keys, source, [blueprint], rotations=rotations, print_as=print_as)


@pytest.mark.parametrize(
    ("inline", "rotations"),
    [
        pytest.param(False, 2, id="standalone"),
        pytest.param(False, 50, id="standalone-50"),
        pytest.param(True, 50, id="internal-50"),
    ],
)
@pytest.mark.timeout(900)
def test_changes_of_url_and_model_name_lose_no_predict(
    cluster36: Cluster, chat: Chat, source: Source, keys: ModelEndpoints, inline: bool, rotations: int
) -> None:
    first = chat(inline=inline, client_config=CLIENT)
    action = first.connector.actions[0].model_dump(exclude_unset=True)
    moved: dict[str, Any] = {**action, "url": action["url"] + "?moved=1"}
    second = chat(inline=inline, client_config=CLIENT, parameters={"model": "gpt-4o"}, actions=[moved])
    told = rotations_under_load(
        cluster36, keys, source, [first, second], rotations=rotations, print_as="URL, model name and key change"
    )
    assert set(told[0].why) == {"actions.0.url", "credential", "parameters.model"}


def test_a_change_of_definition_alone_keeps_the_key(
    cluster36: Cluster, hook36: OpenSearchMLHook, chat: Chat, source: Source, keys: ModelEndpoints
) -> None:
    model_id = provision(hook36, chat(), {"openAI_key": keys_of(source)})
    renamed = chat(parameters={"model": "gpt-4o"})
    with ExitStack() as beside:
        seen = beside.enter_context(load(cluster36, model_id, HELLO, per_second=30))
        record = rotate(hook36, renamed, source(), token="run-1", limits=replace(QUICK, grace_s=0.1))
    assert record.why == ("parameters.model",)
    assert seen.failed == []
    made = hook36.get_connector(record.new_connector)
    assert made is not None
    assert made["parameters"]["model"] == "gpt-4o"


def keys_of(source: Source) -> str:
    return source().wanted
