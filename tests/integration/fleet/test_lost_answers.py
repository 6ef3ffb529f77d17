"""The cluster did it, and the answer is lost, on every write that applying sends: nothing twice, and it converges.

Which writes there are is not listed here: one pass notes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opensearch_ml.blueprint.models import Blueprint
from tests.support.applies import apply_plan, counts, outcomes
from tests.support.cluster import Cluster, connections
from tests.support.fault_proxy import FAULTS, FaultProxy
from tests.support.fleet_drifts import foreign_body, quick, set_on_cluster, unmap
from tests.support.fleet_world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

EXPECTED = {  # at least these; what else is sent is lost too
    "PUT /_cluster/settings",
    "PATCH /_plugins/_security/api/rolesmapping/ml_full_access",
    "POST /_plugins/_ml/connectors/_create",
    "POST /_plugins/_ml/model_groups/_register",
    "POST /_plugins/_ml/models/_register",
    "POST /_plugins/_ml/models/{id}/_deploy",
    "POST /_plugins/_ml/models/{id}/_undeploy",
    "PUT /_plugins/_ml/models/{id}",
    "PUT /_plugins/_ml/connectors/{id}",
    "DELETE /_plugins/_ml/models/{id}",
    "DELETE /_plugins/_ml/connectors/{id}",
    "DELETE /_plugins/_ml/model_groups/{id}",
}


@pytest.fixture
def proxy(world: World) -> Iterator[FaultProxy]:
    proxy = FaultProxy(world.cluster)
    with connections(opensearch_proxied=proxy.connection):
        yield proxy
    proxy.close()


class Drifting:
    """Every kind of change at once, again and again."""

    def __init__(self, world: World, make_blueprint: Callable[..., Blueprint]) -> None:
        self.world, self.make_blueprint = world, make_blueprint
        self.round = 0
        for name in ("model_1", "model_2"):
            world.edit(name, quick)
        apply_plan(world, world.plan())

    def drift(self) -> None:
        """Settings, mapping, create, adopt, update, redeploy, swap and orphans."""
        world, before, self.round = self.world, self.round, self.round + 1
        for kind in ("made", "inside", "hand"):
            (world.folder / f"blueprints/model_{kind}_{before}.yaml").unlink(missing_ok=True)
            inline = kind == "inside"
            name = f"model_{kind}_{self.round}"
            document = {"model": {"description": f"By {kind}"}, "inline": inline}
            world.write(self.make_blueprint(name, **document))
        self.by_hand(f"model_hand_{self.round}")
        world.edit("model_1", lambda told: _with_description(told, f"round {self.round}"))
        world.edit("model_2", lambda told: _with_model(told, f"text-embedding-3-{('small', 'large')[self.round % 2]}"))
        world.ml("POST", f"models/{world.models['inside']}/_undeploy")
        set_on_cluster(world, trusted_connector_endpoints_regex=[], **{"connector.private_ip_enabled": False})
        unmap(world)
        world.until_searchable()

    def by_hand(self, name: str) -> None:
        body = foreign_body(self.world, name)
        connector_id = self.world.ml("POST", "connectors/_create", body)["connector_id"]
        model = {"name": name, "function_name": "remote", "connector_id": connector_id, "description": "By hand"}
        self.world.models[name] = self.world.ml("POST", "models/_register?deploy=true", model)["model_id"]
        self.world.cluster.writes()  # waits until it is deployed


def _with_description(document: dict[str, Any], told: str) -> dict[str, Any]:
    return {**document, "model": {"description": told}}


def _with_model(document: dict[str, Any], model: str) -> dict[str, Any]:
    document["connector"]["parameters"]["model"] = model
    return document


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_of_any_write_makes_nothing_twice_and_converges(
    world: World, cluster: Cluster, proxy: FaultProxy, make_blueprint: Callable[..., Blueprint], fault: str
) -> None:
    drifting = Drifting(world, make_blueprint)
    for _ in range(2):  # in the second there are orphans of the first
        drifting.drift()
        done = apply_plan(world, world.plan(), conn_id="opensearch_proxied")
        assert set(outcomes(done).values()) == {"done"}
    writes = sorted(proxy.seen)
    assert set(writes) >= EXPECTED
    world.until_searchable()
    assert world.plan().changes == ()
    converged = counts(cluster)
    runs: dict[str, str] = {}
    for line in writes:
        drifting.drift()
        plan = world.plan()
        proxy.lose_next(line, fault)
        first = outcomes(apply_plan(world, plan, conn_id="opensearch_proxied"))
        assert proxy.is_lost, line
        world.until_searchable()
        runs[line] = "in the same try"
        if world.plan().changes:
            second = outcomes(apply_plan(world, plan, conn_id="opensearch_proxied"))
            runs[line] = f"by the next try: {[told for told in first.values() if told != 'done']}"
            assert set(second.values()) <= {"done", "unchanged"}, (line, first, second)
            world.until_searchable()
            assert world.plan().changes == (), (line, first, second)
        # Each round leaves what was made by hand in the one before it: connector, model, and the server's own group.
        converged = {kind: number + 1 for kind, number in converged.items()}
        assert counts(cluster) == converged, (line, first)
        print(f"{fault}: {line}: {runs[line]}", flush=True)
