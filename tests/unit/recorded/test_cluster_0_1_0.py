"""What version 0.1.0 wrote into a cluster means today what it meant then."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.target import differing_settings
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.credentials import fingerprint
from opensearch_ml.importing.from_cluster import look_at_others
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.reconcile.plan import plan
from opensearch_ml.resources import adoption, canonical
from opensearch_ml.resources.changes import Kind, Plan
from opensearch_ml.resources.inventory import Fleet, blueprint_of, is_canary
from opensearch_ml.resources.read import read_cluster, read_fleet
from opensearch_ml.resources.rotation_state import CLAIMED, Move, RotationState, next_move
from opensearch_ml.rotation.lease import Lease, LeaseLost
from opensearch_ml.rotation.read_state import read_rotation_state
from opensearch_ml.steps import connector as connectors
from opensearch_ml.steps import model as models
from opensearch_ml.steps.cluster_settings import remove_trusted_endpoints
from opensearch_ml.steps.model import delete_model_group, released
from tests.support.recorded import BY_HAND, FIRST, NEWEST, OLDER, SECOND, ClusterAt, Document, Recording

RECORDING = Recording("0.1.0")
LIVING = ("adopted", "chat", "embedding", "inside", "plain")
ROTATED = ("embedding", "inside")
SOURCES = ("secret", "session", "user_key")
ROLE_ARN = "arn:aws:iam::123456789012:role/sagemaker-session"
ALIVE_MS, DEAD_MS = 1_000, 400_000

pytestmark = pytest.mark.parametrize("opensearch", [NEWEST, OLDER])


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """The blueprints, with the target's variables."""
    return RECORDING.catalog(tmp_path)


def derive_rotation_state(catalog: Catalog, moment: str, opensearch: str, name: str) -> RotationState:
    """What a rotation sees of a blueprint."""
    return read_rotation_state(RECORDING.cluster(moment, opensearch).hook, catalog.blueprint(name))


def fleet_at(moment: str, opensearch: str) -> tuple[ClusterAt, Fleet]:
    cluster = RECORDING.cluster(moment, opensearch)
    return cluster, read_fleet(cluster.hook)


def planned(
    catalog: Catalog, moment: str, opensearch: str, credential: Document, now_ms: int = 0, names: tuple[str, ...] = ()
) -> Plan:
    """The plan for the blueprints, whose references give a credential."""
    target, _ = catalog.fleet("local")
    blueprints = {name: catalog.blueprint(name) for name in names or LIVING}
    cluster, fleet = fleet_at(moment, opensearch)
    model_names = {name: blueprint.model_name for name, blueprint in blueprints.items()}
    looked = read_cluster(cluster.hook, target, fleet, model_names)
    wanted = [Desired(name, blueprint) for name, blueprint in blueprints.items()]
    return plan(target, wanted, looked, serves=lambda _, mark: fingerprint.matches(mark, credential), now_ms=now_ms)


# ---- labels


@pytest.mark.parametrize("form", ["search", "get"])
def test_each_connector_tells_its_blueprint_and_its_credential(opensearch: str, catalog: Catalog, form: str) -> None:
    cluster = RECORDING.cluster("fleet", opensearch, form=form)
    found = cluster.search_connectors({"match_all": {}})
    assert sorted(map(blueprint_of, found)) == ["", "chat", "embedding", "plain"]
    for connector in found:
        name = blueprint_of(connector)
        assert connectors.is_ours(connector) is bool(name)
        if name:
            mark = connectors.mark_of(connector)
            assert fingerprint.matches(mark, FIRST)
            assert not fingerprint.matches(mark, SECOND)
            assert canonical.definition_differences(catalog.blueprint(name), connector, cluster.version) == ()
            assert [one["id"] for one in connectors.ours(cluster.hook, name)] == [connector["id"]]


def test_an_internal_connector_tells_its_blueprint_its_credential_and_the_keys_of_that(
    opensearch: str, catalog: Catalog
) -> None:
    cluster, fleet = fleet_at("fleet", opensearch)
    model = cluster.named("inside")
    inside = model["connector"]
    assert blueprint_of(inside) == fleet.owner(model) == "inside"
    assert fingerprint.matches(connectors.mark_of(inside), FIRST)
    assert inside["parameters"][canonical.LABEL_KEYS].split(",") == ["openAI_key"]
    assert canonical.definition_differences(catalog.blueprint("inside"), inside, cluster.version) == ()


@pytest.mark.parametrize("name", LIVING)
def test_each_model_is_found_for_its_blueprint(opensearch: str, catalog: Catalog, name: str) -> None:
    cluster, fleet = fleet_at("fleet", opensearch)
    blueprint = catalog.blueprint(name)
    [model] = models.ours(cluster.hook, blueprint)
    assert model["id"] == cluster.named(blueprint.model_name)["id"]
    assert [one["id"] for one in models.made_from(cluster.hook, name)] == [model["id"]]
    assert [one["id"] for one in fleet.models_of(blueprint)] == [model["id"]]
    assert fleet.owner(model) == name
    assert not is_canary(model)


def test_nothing_is_taken_for_a_model_that_others_made(opensearch: str, catalog: Catalog) -> None:
    found = look_at_others(RECORDING.cluster("fleet", opensearch).hook)
    assert found.blueprints == ()
    assert found.left_out == (f"{', '.join(LIVING)}: managed by opensearch_ml already",)


def test_the_whole_fleet_is_as_its_blueprints_say(opensearch: str, catalog: Catalog) -> None:
    found = planned(catalog, "fleet", opensearch, FIRST)
    assert (found.changes, found.unchanged, found.standing) == ((), LIVING, len(LIVING))
    changed = planned(catalog, "fleet", opensearch, SECOND)
    assert {(one.kind, one.what) for one in changed.changes} == {(Kind.SWAP, name) for name in LIVING}


def test_what_no_blueprint_wants_any_more_is_an_orphan(opensearch: str, catalog: Catalog) -> None:
    cluster, _ = fleet_at("fleet", opensearch)
    found = planned(catalog, "fleet", opensearch, FIRST, names=("chat", "embedding", "inside"))
    assert [(one.kind, one.what) for one in found.changes] == [(Kind.ORPHAN, "adopted"), (Kind.ORPHAN, "plain")]
    adopted, plain = found.changes
    [mark] = adopted.differences
    assert (adopted.models, mark.after) == ((cluster.named(BY_HAND)["id"],), "Answers the support team")
    assert plain.models == (cluster.named("plain")["id"],)
    assert plain.connectors == (cluster.named("plain")["connector_id"],)


# ---- model groups


@pytest.mark.parametrize(("name", "is_ours"), [("embedding", True), ("plain", True), ("adopted", False)])
def test_the_mark_of_a_group_is_recognised(opensearch: str, catalog: Catalog, name: str, is_ours: bool) -> None:
    cluster = RECORDING.cluster("fleet", opensearch)
    blueprint = catalog.blueprint(name)
    told = delete_model_group(cluster.hook, blueprint)
    [group] = cluster.search_model_groups({"term": {"name.keyword": blueprint.group_name}})
    model_id = cluster.named(blueprint.model_name)["id"]
    expected = f"it holds model {model_id}" if is_ours else "it was not made by us"
    assert (told.action, told.id, told.details) == ("left", group["id"], (expected,))


def test_a_model_without_its_connector_is_recognised_by_its_group(opensearch: str, catalog: Catalog) -> None:
    cluster, _ = fleet_at("fleet", opensearch)
    plain = cluster.named("plain")
    del cluster.moment["connectors"][plain["connector_id"]]
    assert [one["id"] for one in models.ours(cluster.hook, catalog.blueprint("plain"))] == [plain["id"]]


# ---- adopted models


def test_an_adopted_model_tells_its_blueprint_and_its_credential(opensearch: str, catalog: Catalog) -> None:
    cluster, fleet = fleet_at("fleet", opensearch)
    model = cluster.named(BY_HAND)
    told = adoption.read(model)
    assert told
    assert told.blueprint == "adopted"
    assert fingerprint.matches(told.known, FIRST)
    assert adoption.plain(model["description"]) == "Answers the support team"
    assert fleet.is_others(model)
    found = read_rotation_state(cluster.hook, catalog.blueprint("adopted"))
    assert found.live
    assert (found.live.id, found.live.others, found.live.differs) == (model["connector_id"], True, ())
    assert fingerprint.matches(found.live.mark, FIRST)


def test_an_adopted_model_is_released_and_not_deleted(opensearch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, _ = fleet_at("fleet", opensearch)
    model, written = cluster.named(BY_HAND), dict[str, Any]()
    monkeypatch.setattr(cluster, "update_model", lambda model_id, body: written.update(body), raising=False)
    assert released(cluster.hook, model)
    assert written == {"description": "Answers the support team"}


# ---- a rotation under way


@pytest.mark.parametrize("form", ["search", "get"])
def test_a_candidate_without_a_credential_is_recognised(opensearch: str, catalog: Catalog, form: str) -> None:
    found = read_rotation_state(
        RECORDING.cluster("claimed", opensearch, form=form).hook, catalog.blueprint("embedding")
    )
    [candidate] = found.candidates
    assert (candidate.mark, candidate.differs) == (CLAIMED, ())
    assert found.live
    assert found.live.id != candidate.id
    assert (found.retired, found.switched) == ((), False)
    assert found.holder == candidate.run
    assert re.fullmatch(r"opensearch_ml_rotate_credentials/manual__\S+/rotate/\d", candidate.run)
    assert next_move(found, ()) is Move.CLEAN


@pytest.mark.parametrize("name", ROTATED)
def test_a_candidate_under_test_and_its_canary_are_recognised(opensearch: str, catalog: Catalog, name: str) -> None:
    found = derive_rotation_state(catalog, "tested", opensearch, name)
    [candidate], [canary] = found.candidates, found.canaries
    assert found.live
    assert fingerprint.matches(found.live.mark, FIRST)
    assert fingerprint.matches(candidate.mark, SECOND)
    assert candidate.replaces == (found.live.mark if name == "inside" else None)
    assert canary.connector_id == candidate.id
    assert canary.token == candidate.run == found.holder
    assert re.fullmatch(r"[0-9a-f]{8}", canary.process)
    assert canary.beat >= 0
    assert (found.retired, found.switched) == ((), False)
    assert next_move(found, ("credential",)) is Move.REPLACE


def test_after_the_switch_the_old_connector_is_retired(opensearch: str, catalog: Catalog) -> None:
    before = derive_rotation_state(catalog, "tested", opensearch, "embedding")
    found = derive_rotation_state(catalog, "switched", opensearch, "embedding")
    assert found.live
    assert before.live
    assert found.live.id == before.candidates[0].id
    assert [one.id for one in found.retired] == [before.live.id]
    assert (found.candidates, found.switched) == ((), True)
    assert next_move(found, ()) is Move.FINISH


def test_after_the_switch_of_an_internal_connector_the_candidate_remembers_what_it_replaced(
    opensearch: str, catalog: Catalog
) -> None:
    before = derive_rotation_state(catalog, "tested", opensearch, "inside")
    found = derive_rotation_state(catalog, "switched", opensearch, "inside")
    [candidate] = found.candidates
    assert found.live
    assert before.live
    assert found.live.mark == candidate.mark
    assert candidate.replaces == before.live.mark
    assert found.switched
    assert next_move(found, ()) is Move.FINISH


@pytest.mark.parametrize("name", ROTATED)
def test_after_a_rotation_nothing_is_left(opensearch: str, catalog: Catalog, name: str) -> None:
    found = derive_rotation_state(catalog, "rotated", opensearch, name)
    assert found.live
    assert fingerprint.matches(found.live.mark, SECOND)
    assert (found.candidates, found.retired, found.canaries, found.holder) == ((), (), (), None)
    assert next_move(found, ()) is Move.NOTHING


@pytest.mark.parametrize("name", ROTATED)
def test_the_lease_belongs_to_the_run_that_took_it(opensearch: str, catalog: Catalog, name: str) -> None:
    cluster = RECORDING.cluster("tested", opensearch)
    [canary] = read_rotation_state(cluster.hook, catalog.blueprint(name)).canaries
    lease = Lease(cluster.hook, "another run", 30.0)
    lease.canary_id = canary.id
    with pytest.raises(LeaseLost) as lost:
        lease.renew()
    assert lost.value.holder == canary.token


def test_a_provisioning_takes_no_connector_of_a_rotation(opensearch: str) -> None:
    cluster = RECORDING.cluster("tested", opensearch)
    [standing] = connectors.provisioned(cluster.hook, "embedding")
    assert standing["id"] == cluster.named("embedding")["connector_id"]


def test_a_canary_is_no_model_of_its_blueprint(opensearch: str) -> None:
    cluster, fleet = fleet_at("tested", opensearch)
    canaries = [one for one in fleet.models if is_canary(one)]
    assert len(canaries) == len(ROTATED)
    assert [len(fleet.canaries_of(name)) for name in ROTATED] == [1, 1]
    assert [one["name"] for name in ROTATED for one in models.made_from(cluster.hook, name)] == list(ROTATED)


@pytest.mark.parametrize(
    ("after_ms", "kind", "why"), [(ALIVE_MS, Kind.BLOCKED, "rotates it"), (DEAD_MS, Kind.CLEAN, "")]
)
def test_a_plan_leaves_a_rotation_alone_until_its_run_is_taken_for_dead(
    opensearch: str, catalog: Catalog, after_ms: int, kind: Kind, why: str
) -> None:
    cluster = RECORDING.cluster("tested", opensearch)
    cluster.moment |= {key: RECORDING.cluster("fleet", opensearch).moment[key] for key in ("settings", "role_mapping")}
    target, _ = catalog.fleet("local")
    fleet = read_fleet(cluster.hook)
    stirred = max(int(one["last_updated_time"]) for one in fleet.models)
    blueprint = catalog.blueprint("embedding")
    looked = read_cluster(cluster.hook, target, fleet, {"embedding": "embedding"})
    changes = [
        one
        for one in plan(
            target, [Desired("embedding", blueprint)], looked, serves=lambda *_: True, now_ms=stirred + after_ms
        ).changes
        if one.what == "embedding"
    ]
    assert [one.kind for one in changes] == [kind]
    assert why in changes[0].why


# ---- what all models of a cluster share


def test_our_trusted_endpoints_are_recognised(opensearch: str, catalog: Catalog) -> None:
    cluster = RECORDING.cluster("fleet", opensearch)
    needed = [pair for name in ("embedding", "chat") for pair in catalog.blueprint(name).trusted]
    ours = [trusted_endpoints.labelled(pattern) for pattern, _ in needed]
    assert [entry for entry in cluster.trusted_endpoints() if trusted_endpoints.is_ours(entry)] == ours
    assert trusted_endpoints.missing(needed, cluster.trusted_endpoints()) == []
    assert trusted_endpoints.no_longer_needed(cluster.trusted_endpoints(), []) == ours
    assert trusted_endpoints.no_longer_needed(cluster.trusted_endpoints(), [needed[0][1]]) == ours[1:]


def test_a_trusted_endpoint_that_is_in_use_is_not_removed(opensearch: str, catalog: Catalog) -> None:
    cluster = RECORDING.cluster("fleet", opensearch)
    assert remove_trusted_endpoints(cluster.hook, [catalog.blueprint("chat").trusted[0][0]]).action == "unchanged"


def test_settings_and_role_mapping_are_as_the_target_says(opensearch: str, catalog: Catalog) -> None:
    cluster = RECORDING.cluster("fleet", opensearch)
    target, _ = catalog.fleet("local")
    wanted = target.settings.as_cluster_settings()
    assert wanted
    assert differing_settings(wanted, cluster.cluster_settings()) == {}
    [(role, mapping)] = target.role_mapping.items()
    assert mapping.backend_roles
    assert mapping.missing(cluster.role_mappings()[role]) == {}
