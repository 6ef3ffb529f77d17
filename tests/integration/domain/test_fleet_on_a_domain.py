"""A fleet on a domain: whoever signs the requests is mapped by the plan itself, on a new domain and after a drift."""

from __future__ import annotations

import pytest

from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.errors import PermissionDenied
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.reconcile.apply import apply_stage
from opensearch_ml.reconcile.apply_context import ApplyContext
from opensearch_ml.reconcile.approval import approved
from opensearch_ml.reconcile.planning import plan_for
from opensearch_ml.reconcile.results import Outcome
from opensearch_ml.resources.changes import Kind, Plan
from tests.support.domain_world import BLUEPRINT, USER_ARN, World

MAPPING = "/_plugins/_security/api/rolesmapping/ml_full_access"
MAPPED = (Kind.SETTINGS, "mapping of role ml_full_access")


@pytest.fixture
def fleet(world: World) -> World:
    """The world's blueprint as all that its target names."""
    world.target |= {"blueprints": [BLUEPRINT], "opensearch_admin_conn_id": world.admin}
    world.ready()
    world.account.forget_writes()
    return world


def catalog(world: World) -> Catalog:
    return Catalog(world.folder / "blueprints", world.folder / "targets")


def plan(world: World, *, admin: bool = True) -> Plan:
    """A plan by hooks of its own, as each task has them."""
    target, names = catalog(world).fleet("tests")
    acting = OpenSearchMLHook(world.admin) if admin else None
    return plan_for(OpenSearchMLHook(), catalog(world), target, names, admin=acting).plan


def apply(world: World, found: Plan) -> set[Outcome]:
    outcomes = set()
    for stage in found.stages():
        target, _ = catalog(world).fleet("tests")
        acting = OpenSearchMLHook(world.admin)
        applying = ApplyContext(OpenSearchMLHook(), catalog(world), target, acting, None, "run-1")
        outcomes |= {one.outcome for one in apply_stage(applying, approved(stage), on_done=lambda *told: None)}
    return outcomes


def kinds(found: Plan) -> list[tuple[Kind, str]]:
    return [(one.kind, one.what) for one in found.changes]


def test_on_a_new_domain_the_plan_maps_whoever_signs_and_applying_it_makes_the_rest(fleet: World) -> None:
    first = plan(fleet)
    assert fleet.writes() == ({}, [])
    assert MAPPED in kinds(first)
    assert {(Kind.ROLE, BLUEPRINT), (Kind.CREATE, BLUEPRINT)} < set(kinds(first))
    assert apply(fleet, first) == {Outcome.DONE}
    assert plan(fleet).changes == ()


def test_a_mapping_that_somebody_took_away_is_given_back_beside_theirs(fleet: World) -> None:
    assert apply(fleet, plan(fleet)) == {Outcome.DONE}
    fleet.domain.as_admin("PUT", MAPPING, json={"backend_roles": ["theirs"]}).raise_for_status()
    found = plan(fleet)
    assert kinds(found) == [MAPPED]
    assert apply(fleet, found) == {Outcome.DONE}
    mapped = fleet.domain.as_admin("GET", MAPPING).json()["ml_full_access"]
    assert (mapped["backend_roles"], mapped["users"]) == (["theirs"], [USER_ARN])
    assert plan(fleet).changes == ()


def test_without_somebody_who_may_map_it_the_refusal_is_the_clusters(fleet: World) -> None:
    with pytest.raises(PermissionDenied, match="no permissions for"):
        plan(fleet, admin=False)
    assert fleet.writes() == ({}, [])
