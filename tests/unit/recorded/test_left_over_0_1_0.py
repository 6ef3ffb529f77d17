"""What a run of version 0.1.0 that died left in a cluster, and what its deletions left; OpenSearch 3.6.0."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.credentials import fingerprint, resolver
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.reconcile.plan import plan
from opensearch_ml.resources import adoption
from opensearch_ml.resources.changes import Kind
from opensearch_ml.resources.inventory import Cluster
from opensearch_ml.resources.read import read_fleet
from opensearch_ml.resources.rotation_state import Move, next_move
from opensearch_ml.rotation.read_state import read_rotation_state
from opensearch_ml.steps import connector as connectors
from tests.support.recorded import BY_HAND, FIRST, SECOND, Recording

RECORDING = Recording("0.1.0")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """The blueprints, with the target's variables."""
    return RECORDING.catalog(tmp_path)


def test_a_new_connector_would_carry_the_same_fingerprint(catalog: Catalog) -> None:
    cluster = RECORDING.cluster("fleet")
    [connector] = connectors.ours(cluster.hook, "embedding")
    assert connectors.mark_of(connector) == resolver.mark(catalog.blueprint("embedding"), cluster.hook, FIRST)


def test_what_a_dead_run_left_belongs_to_that_run(catalog: Catalog) -> None:
    run = RECORDING.run("reconcile_interrupted")
    cluster = RECORDING.cluster("interrupted")
    found = read_rotation_state(cluster.hook, catalog.blueprint("chat"))
    [candidate], [canary] = found.candidates, found.canaries
    assert found.live
    assert candidate.run == f"{run.dag_id}/{run.run_id.replace('+', '_')}/local.apply/0" == canary.token
    assert canary.connector_id == candidate.id
    assert (found.live.differs, candidate.differs) == (("parameters.model",), ())
    assert fingerprint.matches(candidate.mark, SECOND)
    assert next_move(found, found.live.differs) is Move.REPLACE


@pytest.mark.parametrize(
    ("of_run", "after_ms", "kind"),
    [("", 1_000, Kind.BLOCKED), ("", 400_000, Kind.SWAP), ("reconcile_interrupted", 1_000, Kind.SWAP)],
    ids=["another run, soon", "another run, later", "a retry"],
)
def test_a_plan_goes_on_with_what_a_dead_run_left(catalog: Catalog, of_run: str, after_ms: int, kind: Kind) -> None:
    cluster = RECORDING.cluster("interrupted")
    fleet = read_fleet(cluster.hook)
    [canary] = fleet.canaries_of("chat")
    token = read_rotation_state(cluster.hook, catalog.blueprint("chat")).holder if of_run else "another"
    settings = RECORDING.cluster("fleet").cluster_settings()
    found = plan(
        Target(name="local"),
        [Desired("chat", catalog.blueprint("chat"))],
        Cluster(fleet, settings),
        serves=lambda _, mark: fingerprint.matches(mark, SECOND),
        now_ms=int(canary["last_updated_time"]) + after_ms,
        token=str(token),
    )
    assert [(change.kind, change.what) for change in found.changes] == [(kind, "chat")]


def test_an_adopted_model_that_was_released_is_not_ours(catalog: Catalog) -> None:
    cluster = RECORDING.cluster("pruned")
    model = cluster.named(BY_HAND)
    assert model["description"] == "Answers the support team"
    assert adoption.read(model) is None
    assert read_fleet(cluster.hook).owner(model) == ""
    assert [one["name"] for one in cluster.search_models({"match_all": {}})] == [BY_HAND]


def test_a_teardown_left_the_trusted_endpoints_that_are_in_use(catalog: Catalog) -> None:
    cluster = RECORDING.cluster("torn_down")
    ours = [entry for entry in cluster.trusted_endpoints() if trusted_endpoints.is_ours(entry)]
    wanted = {trusted_endpoints.labelled(pattern) for pattern, _ in catalog.blueprint("chat").trusted}
    assert wanted <= set(ours)
    assert {key: list(cluster.moment[key]) for key in ("connectors", "models", "model_groups")} == {
        "connectors": [],
        "models": [],
        "model_groups": [],
    }
