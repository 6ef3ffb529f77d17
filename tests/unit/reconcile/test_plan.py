"""A plan names what differs between a target and its cluster, each thing once, and nothing where all is right."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import MLSettings, RoleMapping, Target
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.errors import Finding, PermissionDenied, UnresolvedCredential
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.resources import adoption, canonical
from opensearch_ml.resources.changes import Change, Difference, Kind, Plan
from opensearch_ml.resources.inventory import Cluster
from tests.support.fleets import (
    NOW_MS,
    RIGHT,
    adopted_world,
    blueprint,
    canary,
    cluster,
    connector,
    document,
    foreign,
    internal,
    kinds,
    lost,
    mcp,
    model,
    only,
    planned,
    stands,
)
from tests.support.parsing import parse_blueprint

CHAT = blueprint()
INSIDE = blueprint("inside", inline=True)
TOOLS = mcp()
STUCK_MS = NOW_MS - 20 * 60 * 1000


def converged(*of: Blueprint, **more: Any) -> Cluster:
    found = [stands(one) for one in of]
    return cluster(chain.from_iterable(one[0] for one in found), chain.from_iterable(one[1] for one in found), **more)


def chat_is(**fields: Any) -> Cluster:
    """The chat's model, with some fields otherwise."""
    return cluster([connector(CHAT, "c")], [model(CHAT, "m", "c", **fields)])


def test_a_converged_fleet_needs_nothing() -> None:
    found = planned([CHAT, INSIDE, TOOLS], converged(CHAT, INSIDE, TOOLS))
    assert found.is_empty
    assert (found.unchanged, found.wanted, found.standing) == (("chat", "inside", "tools"), 3, 2)


# ---- what a rotation and the provisioning would do


def test_a_blueprint_without_a_model_is_created() -> None:
    assert only(planned([CHAT], cluster())) == Change(Kind.CREATE, "chat", "it has no model here")
    assert only(planned([TOOLS], cluster())).kind is Kind.CREATE


def test_a_connector_without_its_model_is_created_on() -> None:
    found = only(planned([CHAT], cluster([connector(CHAT, "c")])))
    assert (found.kind, found.why, found.connectors) == (Kind.CREATE, "connector c is there, its model is not", ("c",))


@pytest.mark.parametrize("of", [CHAT, INSIDE], ids=["standalone", "internal"])
def test_another_definition_is_swapped_in(of: Blueprint) -> None:
    changed = blueprint(of.name, inline=of.inline, connector__parameters={"model": "large", "size": 3})
    found = only(planned([changed], converged(of)))
    assert (found.kind, found.models) == (Kind.SWAP, (f"m-{of.name}",))
    assert found.differences == (
        Difference("parameters.model", "small", "large"),
        Difference("parameters.size", None, "3"),
    )


def test_another_credential_is_swapped_in_and_shown_by_its_fingerprint() -> None:
    found = only(planned([CHAT], converged(CHAT), serves=lambda _, mark: False))
    assert (found.kind, found.differences) == (Kind.SWAP, (Difference("credential", "fp:KKKKKK…", "new value"),))


def test_a_swap_that_nobody_could_test_is_blocked_with_its_fix() -> None:
    untested = blueprint(smoke_test=None, connector__parameters={"model": "large"})
    found = only(planned([untested], converged(CHAT)))
    assert (found.kind, found.differences[0].path) == (Kind.BLOCKED, "parameters.model")
    assert "smoke_test" in found.fix


def test_an_internal_connectors_parameter_that_cannot_go_is_blocked() -> None:
    before = blueprint("inside", inline=True, connector__parameters={"model": "small", "size": 3})
    found = only(planned([INSIDE], converged(before)))
    assert found.kind is Kind.BLOCKED
    assert "cannot be taken away" in found.why


def test_a_models_own_fields_are_updated_in_place() -> None:
    wanted = blueprint(
        model={
            "description": "Answers",
            "rate_limiter": {"limit": 5, "unit": "SECONDS"},
            "model_config": {"model_type": "REMOTE", "embedding_dimension": 384},
        }
    )
    there = model(
        wanted,
        "m",
        "c",
        description="Old",
        rate_limiter={"limit": "5.0", "unit": "SECONDS"},
        model_config={"model_type": "REMOTE", "embedding_dimension": 3, "additional_config": {"x": 1}},
        is_enabled=False,
    )
    found = only(planned([wanted], cluster([connector(wanted, "c")], [there])))
    assert (found.kind, found.models) == (Kind.UPDATE, ("m",))
    assert found.differences == (
        Difference("model.description", "Old", "Answers"),
        Difference("model.is_enabled", "false", "true"),
        Difference("model.model_config.embedding_dimension", "3", "384"),
    )


def test_a_model_that_its_blueprint_disables_is_left_disabled() -> None:
    wanted = blueprint(model={"is_enabled": False})
    assert planned([wanted], cluster([connector(wanted, "c")], [model(wanted, "m", "c")])).is_empty


def test_a_model_renamed_in_its_blueprint_keeps_its_id() -> None:
    wanted = blueprint(model={"name": "new name"})
    there = model(CHAT, "m", "c", model_group_id="g")
    found = only(planned([wanted], cluster([connector(CHAT, "c")], [there], groups=["g"])))
    assert (found.kind, found.models, found.differences) == (
        Kind.UPDATE,
        ("m",),
        (Difference("model.name", "chat", "new name"),),
    )


def test_somebodys_own_model_on_our_connector_is_left_alone() -> None:
    theirs = model(CHAT, "theirs", "c", name="experiment", model_group_id="elsewhere")
    assert planned([CHAT], cluster([connector(CHAT, "c")], [model(CHAT, "m", "c"), theirs])).is_empty
    found = only(planned([CHAT], cluster([connector(CHAT, "c")], [theirs])))
    assert (found.kind, found.models) == (Kind.CREATE, ())


# ---- states


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model_state": "UNDEPLOYED"}, "UNDEPLOYED"),
        ({"model_state": "REGISTERED"}, "REGISTERED"),
        ({"model_state": "DEPLOY_FAILED"}, "DEPLOY_FAILED"),
        ({"model_state": "LOAD_FAILED"}, "LOAD_FAILED"),
        ({"model_state": "PARTIALLY_DEPLOYED"}, "PARTIALLY_DEPLOYED"),
        (
            {"model_state": "PARTIALLY_DEPLOYED", "planning_worker_node_count": 2, "current_worker_node_count": 1},
            "PARTIALLY_DEPLOYED on 1 of 2 nodes",
        ),
        ({"model_state": "DEPLOYING", "last_updated_time": STUCK_MS}, "DEPLOYING for 20 min"),
    ],
)
def test_what_is_not_deployed_is_deployed_again(fields: dict[str, Any], why: str) -> None:
    found = only(planned([CHAT], chat_is(**fields)))
    assert (found.kind, found.why, found.models) == (Kind.REDEPLOY, why, ("m",))


def test_a_deployment_under_way_is_waited_for() -> None:
    found = only(planned([CHAT], chat_is(model_state="DEPLOYING", last_updated_time=NOW_MS - 3000)))
    assert (found.kind, found.why) == (Kind.BLOCKED, "it is being deployed")


def test_a_state_that_nobody_knows_is_told_and_left() -> None:
    found = only(planned([CHAT], chat_is(model_state="MIGRATING")))
    assert (found.kind, found.why) == (Kind.BLOCKED, "it is in state MIGRATING, which nobody knows")


def test_a_model_that_the_server_undeploys_by_itself_is_right_undeployed() -> None:
    wanted = blueprint(model={"deploy_setting": {"is_auto_deploy_enabled": True, "model_ttl_minutes": 5}})
    there = model(wanted, "m", "c", model_state="UNDEPLOYED")
    assert planned([wanted], cluster([connector(wanted, "c")], [there])).is_empty


def test_several_things_of_one_model_are_told_in_the_order_in_which_they_are_done() -> None:
    changed = blueprint(connector__parameters={"model": "large"}, model={"description": "New"})
    found = planned([changed], chat_is(model_state="UNDEPLOYED"))
    assert kinds(found) == [(Kind.UPDATE, "chat"), (Kind.REDEPLOY, "chat"), (Kind.SWAP, "chat")]
    assert found.stages() == ((found.changes,),)


# ---- connectors that are gone, or somebody else's


def test_a_connector_that_is_gone_is_made_anew_for_the_model() -> None:
    there = model(CHAT, "m", "gone", model_group_id="g", model_state="DEPLOY_FAILED")
    found = only(planned([CHAT], cluster([], [there], groups=["g"])))
    assert (found.kind, found.why, found.models) == (Kind.CREATE, "its connector gone is gone", ("m",))


def test_a_model_that_was_put_on_a_foreign_connector_comes_back_to_ours() -> None:
    there = model(CHAT, "m", "theirs", model_group_id="g")
    found = only(planned([CHAT], cluster([connector(CHAT, "c"), foreign(CHAT, "theirs")], [there], groups=["g"])))
    assert (found.kind, found.why) == (Kind.UPDATE, "its connector theirs is not ours")
    assert found.differences == (Difference("connector_id", "theirs", "c"),)


def test_a_model_that_somebody_made_in_our_group_with_a_connector_of_his_own_is_adopted_not_taken() -> None:
    there = model(CHAT, "m", "theirs", model_group_id="g")
    found = only(planned([CHAT], cluster([foreign(CHAT, "theirs")], [there], groups=["g"])))
    assert (found.kind, found.why, found.models) == (Kind.ADOPT, "others made it", ("m",))


def test_an_internal_connector_does_not_become_a_standalone_one() -> None:
    found = only(planned([blueprint("inside")], cluster([connector(INSIDE, "c")], stands(INSIDE)[1])))
    assert found.kind is Kind.BLOCKED
    assert found.fix.startswith("write `inline: true`")


def test_a_second_model_and_a_second_connector_are_orphans_and_the_serving_ones_stay() -> None:
    models = [model(CHAT, "a", "c", model_state="UNDEPLOYED"), model(CHAT, "b", "c")]
    found = planned([CHAT], cluster([connector(CHAT, "c"), connector(CHAT, "spare", created=9)], models))
    assert [(one.kind, one.models, one.connectors) for one in found.changes] == [
        (Kind.ORPHAN, (), ("spare",)),
        (Kind.ORPHAN, ("a",), ()),
    ]


# ---- rotations


def test_who_rotates_at_the_moment_is_not_disturbed() -> None:
    made = [connector(CHAT, "c"), connector(CHAT, "new", created=2, opensearch_ml_run="run-1")]
    there = [model(CHAT, "m", "c", model_state="UNDEPLOYED"), canary(CHAT, "new")]
    found = only(planned([CHAT], cluster(made, there)))
    assert (found.kind, found.why) == (Kind.BLOCKED, "run run-1 rotates it")


@pytest.mark.parametrize(
    ("live", "kind"),
    [("c", Kind.CLEAN), ("new", Kind.SWAP)],
    ids=["killed before the switch", "killed after it"],
)
def test_a_rotation_that_has_not_stirred_for_long_was_killed_and_is_ended(live: str, kind: Kind) -> None:
    made = [connector(CHAT, "c"), connector(CHAT, "new", created=2, opensearch_ml_run="run-1")]
    there = [model(CHAT, "m", live), canary(CHAT, "new", stirred_s=3600)]
    assert only(planned([CHAT], cluster(made, there))).kind is kind


def test_an_old_connector_that_the_server_kept_is_cleaned_up() -> None:
    made = [connector(CHAT, "old"), connector(CHAT, "c", created=2, opensearch_ml_run="run-1")]
    found = only(planned([CHAT], cluster(made, [model(CHAT, "m", "c")])))
    assert (found.kind, found.connectors) == (Kind.CLEAN, ("old",))


# ---- adoption


def adopted(mark: str | None = RIGHT, of: Blueprint = CHAT, **fields: Any) -> Cluster:
    told = adoption.described("Made by hand", of.name, mark)
    held = foreign(of, "theirs")
    on = internal(held) if of.inline else "theirs"
    return cluster([] if of.inline else [held], [model(of, "m", on, description=told, **fields)])


def test_a_model_of_the_blueprints_name_is_adopted_with_its_differences() -> None:
    wanted = blueprint(model={"description": "Answers"}, connector__parameters={"model": "large"})
    there = model(CHAT, "m", "theirs", description="Made by hand")
    found = only(planned([wanted], cluster([foreign(CHAT, "theirs")], [there])))
    assert (found.kind, found.models, found.connectors) == (Kind.ADOPT, ("m",), ("theirs",))
    assert found.differences == (
        Difference("parameters.model", "small", "large"),
        Difference("model.description", "Made by hand", "Answers"),
        Difference("credential", "not readable", "taken to be what the references give"),
    )


def test_a_model_of_another_name_is_adopted_by_its_id() -> None:
    there = model(CHAT, "Xy9", "theirs", name="by hand")
    target = Target(name="t", blueprints=["chat"], adopt={"chat": "Xy9"})
    found = only(planned([CHAT], cluster([foreign(CHAT, "theirs")], [there]), target))
    assert (found.kind, found.models) == (Kind.ADOPT, ("Xy9",))
    assert Difference("model.name", "by hand", "chat") in found.differences
    then = planned([CHAT], adopted(name="by hand"), target)
    assert kinds(then) == [(Kind.UPDATE, "chat")]


@pytest.mark.parametrize("of", [CHAT, INSIDE], ids=["standalone", "internal"])
def test_an_adopted_model_is_ours_from_then_on(of: Blueprint) -> None:
    assert planned([of], adopted(of=of)).is_empty
    changed = blueprint(of.name, inline=of.inline, connector__parameters={"model": "large"})
    assert only(planned([changed], adopted(of=of))).kind is Kind.SWAP
    assert only(planned([of], adopted(None, of))).differences == (Difference("credential", "not known", "new value"),)
    assert kinds(planned([], adopted(of=of))) == [(Kind.ORPHAN, of.name)]


def test_of_an_adopted_orphan_the_foreign_connector_stays() -> None:
    assert only(planned([], adopted())).connectors == ()


def test_an_adopted_model_that_is_wanted_no_more_loses_its_mark_alone() -> None:
    _, connector, model = adopted_world()
    change = only(planned([], cluster([connector], [model])))
    assert (change.kind, change.models, change.connectors) == (Kind.ORPHAN, ("m",), ())
    assert [(one.path, one.after) for one in change.differences] == [("model.description", "By hand")]


def test_an_adopted_model_on_a_connector_of_ours_is_deleted_like_any_other() -> None:
    chat, _, model = adopted_world()
    ours = connector(chat, "ours")
    change = only(planned([], cluster([ours], [{**model, "connector_id": "ours"}])))
    assert (change.kind, change.models, change.connectors, change.differences) == (Kind.ORPHAN, ("m",), ("ours",), ())


def test_an_adopted_models_description_is_changed_without_its_mark() -> None:
    assert planned([blueprint(model={"description": " Made by hand "})], adopted()).is_empty
    found = only(planned([blueprint(model={"description": "Answers"})], adopted()))
    assert found.differences == (Difference("model.description", "Made by hand", "Answers"),)


def test_two_models_of_the_name_are_told_and_none_is_taken() -> None:
    there = [model(CHAT, name, "theirs") for name in ("a", "b")]
    found = only(planned([CHAT], cluster([foreign(CHAT, "theirs")], there)))
    assert (found.kind, found.models) == (Kind.BLOCKED, ("a", "b"))
    assert "adopt: {chat: a}" in found.fix


def test_an_id_that_is_not_there_is_told() -> None:
    target = Target(name="t", blueprints=["*"], adopt={"chat": "Xy9", "tools": "Ab3"})
    found = planned([CHAT, TOOLS], cluster(), target)
    assert kinds(found) == [(Kind.BROKEN, "chat"), (Kind.BROKEN, "tools")]
    assert "which is not there" in found.changes[0].why


def test_another_blueprints_model_is_not_adopted() -> None:
    other = blueprint("other")
    target = Target(name="t", blueprints=["*"], adopt={"chat": "m-other"})
    found = planned([CHAT, other], converged(other), target)
    assert kinds(found) == [(Kind.BLOCKED, "chat")]


def test_a_foreign_model_with_an_internal_connector_is_not_adopted_for_a_standalone_one() -> None:
    inside = internal(foreign(CHAT, ""))
    found = only(planned([CHAT], cluster([], [model(CHAT, "m", inside)])))
    assert (found.kind, found.fix) == (Kind.BLOCKED, "write `inline: true` into the blueprint")


def test_an_mcp_connector_is_adopted_by_its_id() -> None:
    target = Target(name="t", blueprints=["tools"], adopt={"tools": "theirs"})
    found = only(planned([TOOLS], cluster([foreign(TOOLS, "theirs")]), target))
    assert (found.kind, found.connectors) == (Kind.ADOPT, ("theirs",))


def test_an_mcp_connector_that_differs_is_made_anew() -> None:
    found = only(planned([mcp(description="New")], converged(TOOLS)))
    assert (found.kind, found.differences) == (Kind.UPDATE, (Difference("description", None, "New"),))
    assert only(planned([TOOLS], converged(TOOLS), serves=lambda _, mark: False)).differences[0].path == "credential"


# ---- orphans


def test_what_no_blueprint_wants_any_more_is_an_orphan() -> None:
    found = planned([CHAT], converged(CHAT, INSIDE, TOOLS, blueprint("gone")))
    assert [(one.kind, one.what, one.models, one.connectors) for one in found.changes] == [
        (Kind.ORPHAN, "gone", ("m-gone",), ("c-gone",)),
        (Kind.ORPHAN, "inside", ("m-inside",), ()),
        (Kind.ORPHAN, "tools", (), ("c-tools",)),
    ]


def test_an_orphans_connector_stays_while_somebody_elses_model_uses_it() -> None:
    theirs = model(CHAT, "theirs", "c-chat", name="experiment", model_group_id="elsewhere")
    connectors, models = stands(CHAT)
    found = only(planned([], cluster(connectors, [*models, theirs])))
    assert (found.models, found.connectors) == (("m-chat",), ())
    assert "model theirs uses it" in found.why


def test_a_model_that_has_lost_its_connector_is_an_orphan_by_its_group() -> None:
    there = model(CHAT, "m", "gone", model_group_id="g")
    found = only(planned([INSIDE], cluster([], [there, *stands(INSIDE)[1]], groups=["g"])))
    assert (found.kind, found.what, found.models) == (Kind.ORPHAN, "chat", ("m",))
    assert planned([INSIDE], cluster([], [there, *stands(INSIDE)[1]])).is_empty
    unread = planned([Desired("other", None)], cluster([], [there], groups=["g"]))
    assert kinds(unread) == [(Kind.BROKEN, "other")]  # which may be the one that wants it


def test_what_others_made_is_no_orphan() -> None:
    assert planned([], cluster([foreign(CHAT, "theirs")], [model(CHAT, "m", "theirs")])).is_empty


# ---- files and sources that do not tell


def test_a_broken_file_is_told_and_its_model_is_no_orphan() -> None:
    broken = Desired("chat", None, (Finding("connector.name", "is missing", "Add connector.name.", 2),))
    found = planned([broken, INSIDE], converged(CHAT, INSIDE))
    assert only(found) == Change(Kind.BROKEN, "chat", "line 2, connector.name: is missing", fix="Add connector.name.")
    assert (found.has_errors, found.unchanged) == (True, ("inside",))


def test_a_source_that_does_not_answer_keeps_nothing_else_from_being_seen() -> None:
    found = planned([CHAT], chat_is(model_state="UNDEPLOYED"), serves=lost)
    assert kinds(found) == [(Kind.REDEPLOY, "chat"), (Kind.BROKEN, "chat")]
    assert found.changes[1].fix == "create it"


def nothing_there(of: Blueprint) -> None:
    """Where no reference leads anywhere."""
    told = "key is password of connection one, which is not there"
    raise UnresolvedCredential(
        f"blueprint {of.name} refers to secrets that are not there", evidence=told, fix="create it"
    )


def test_what_cannot_be_created_or_adopted_for_want_of_its_credential_is_told_and_stops_nobody() -> None:
    by_hand, lost_its_own = blueprint("by_hand"), blueprint("lost_its_own")
    there = [
        model(by_hand, "m", "theirs", name="by_hand"),
        model(lost_its_own, "n", "gone", name="lost_its_own", model_state="UNDEPLOYED"),
        *stands(CHAT)[1],
    ]
    on = cluster([foreign(by_hand, "theirs"), *stands(CHAT)[0]], there, groups=["group of lost_its_own"])
    wanted = [by_hand, lost_its_own, blueprint("new"), TOOLS, CHAT]
    assert kinds(planned(wanted, on)) == [
        (Kind.CREATE, "lost_its_own"),
        (Kind.CREATE, "new"),
        (Kind.CREATE, "tools"),
        (Kind.ADOPT, "by_hand"),
    ]
    found = planned(wanted, on, resolves=nothing_there)
    assert kinds(found) == [(Kind.BROKEN, name) for name in ("by_hand", "lost_its_own", "new", "tools")]
    assert (found.has_errors, found.stages(), found.unchanged) == (True, (), ("chat",))
    words = "it refers to secrets that are not there: key is password of connection one, which is not there"
    assert [(one.why, one.fix) for one in found.changes] == [
        (f"cannot be adopted: {words}", "create it"),
        *[(f"cannot be created: {words}", "create it")] * 3,
    ]
    assert found.changes[0].differences  # that it would be adopted, and with what, is still to be read


def test_the_credential_of_what_stands_and_of_what_is_taken_as_it_is_is_not_asked_for_again() -> None:
    signed = blueprint(
        "signed",
        connector__protocol="aws_sigv4",
        connector__credential={},
        connector__parameters={"region": "r", "service_name": "sagemaker", "model": "small"},
        connector__actions__0__headers={},
        rotation={"source": "iam_user_key", "user_name": "search"},
    )
    on = cluster([foreign(signed, "theirs"), *stands(CHAT)[0]], [model(signed, "m", "theirs"), *stands(CHAT)[1]])
    assert kinds(planned([signed, CHAT], on, resolves=nothing_there)) == [(Kind.ADOPT, "signed")]


# ---- the cluster


def test_a_trusted_endpoint_that_was_removed_is_added_once() -> None:
    found = only(planned([CHAT, INSIDE], converged(CHAT, INSIDE, trusts=False)))
    assert (found.kind, found.what) == (Kind.SETTINGS, "trusted endpoints")
    assert [one.after for one in found.differences] == [
        trusted_endpoints.labelled(r"^https://api\.example\.com/v1/chat$")
    ]


def test_a_flipped_setting_is_set_back() -> None:
    target = Target(name="t", settings=MLSettings(only_run_on_ml_node=False, private_ip_enabled=True))
    have = {"plugins.ml_commons.only_run_on_ml_node": "true", "plugins.ml_commons.connector.private_ip_enabled": "true"}
    found = only(planned([CHAT], converged(CHAT, settings=have), target))
    assert found.differences == (Difference("plugins.ml_commons.only_run_on_ml_node", "true", "false"),)
    right = {**have, "plugins.ml_commons.only_run_on_ml_node": "false"}
    assert planned([CHAT], converged(CHAT, settings=right), target).is_empty


def test_a_mapping_that_was_removed_is_added() -> None:
    target = Target(name="t", role_mapping={"ml_full_access": RoleMapping(backend_roles=["airflow"], users=["ann"])})
    have = {"ml_full_access": {"backend_roles": ["others"], "users": ["ann"]}}
    found = only(planned([CHAT], converged(CHAT, mappings=have), target))
    assert (found.what, found.differences) == (
        "mapping of role ml_full_access",
        (Difference("backend_roles", None, "airflow"),),
    )
    assert len(only(planned([CHAT], converged(CHAT, mappings={}), target)).differences) == 2


def test_mappings_that_could_not_be_read_are_told_and_no_change() -> None:
    target = Target(name="t", role_mapping={"ml_full_access": RoleMapping(users=["ann"])})
    on = dataclasses.replace(converged(CHAT), unseen=("role mappings: refused",))
    found = planned([CHAT], on, target)
    assert found.is_empty
    assert found.unseen == ("role mappings: refused",)


ROLE_ARN = "arn:aws:iam::111122223333:role/opensearch-x"
BY_ROLE = blueprint(
    "by_role",
    connector__protocol="aws_sigv4",
    connector__credential={"roleArn": ROLE_ARN},
    connector__parameters={"region": "eu-central-1", "service_name": "sagemaker"},
    connector__actions=[
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://runtime.sagemaker.eu-central-1.amazonaws.com/endpoints/x/invocations",
            "request_body": "{}",
        }
    ],
)


@pytest.mark.parametrize(
    ("lacks", "why", "fields"),
    [(None, f"role {ROLE_ARN} is missing", 0), (("policy p", "that d may assume it"), f"role {ROLE_ARN} lacks it", 2)],
)
def test_a_role_that_lacks_something_is_mended(lacks: tuple[str, ...] | None, why: str, fields: int) -> None:
    have = {trusted_endpoints.SETTING: [BY_ROLE.trusted[0][0]]}
    asked: list[str] = []

    def told(of: Blueprint) -> tuple[str, ...] | None:
        asked.append(of.name)
        return lacks

    found = only(planned([BY_ROLE, CHAT], converged(BY_ROLE, CHAT, settings=_both(have)), role_lacks=told))
    assert (found.kind, found.what, found.why, len(found.differences)) == (Kind.ROLE, "by_role", why, fields)
    assert asked == ["by_role"]  # AWS is asked for nobody else


def test_a_role_that_others_must_correct_is_told() -> None:
    def told(of: Blueprint) -> None:
        raise PermissionDenied("an explicit deny is in the way", evidence="", fix="correct the statement")

    have = {trusted_endpoints.SETTING: [BY_ROLE.trusted[0][0]]}
    found = only(planned([BY_ROLE], converged(BY_ROLE, settings=have), role_lacks=told))
    assert (found.kind, found.fix) == (Kind.BROKEN, "correct the statement")


def _both(have: dict[str, list[str]]) -> dict[str, list[str]]:
    return {key: [*patterns, CHAT.trusted[0][0]] for key, patterns in have.items()}


# ---- the whole


NAMES = ["alpha", "beta", "gamma", "delta"]


def _clear(connectors: list[ConnectorDoc], models: list[ModelDoc]) -> None:
    connectors.clear()
    models.clear()


DRIFTS: dict[str, Callable[[list[ConnectorDoc], list[ModelDoc]], None]] = {
    "none": lambda connectors, models: None,
    "gone": _clear,
    "swap": lambda connectors, models: connectors[0]["parameters"].update(model="other"),
    "fields": lambda connectors, models: models[0].update({"is_enabled": False}),
    "undeployed": lambda connectors, models: models[0].update({"model_state": "UNDEPLOYED"}),
    "foreign": lambda connectors, models: connectors.__setitem__(0, _without_marks(connectors[0])),
    "leftover": lambda connectors, models: connectors.append(
        {**connectors[0], "id": connectors[0]["id"] + "-old", "created_time": 0}
    ),
    "other key": lambda connectors, models: connectors[0]["parameters"].update({canonical.LABEL_CREDENTIAL: "x"}),
}


def _without_marks(found: ConnectorDoc) -> ConnectorDoc:
    kept = {key: value for key, value in found["parameters"].items() if not key.startswith("opensearch_ml")}
    return {**found, "parameters": kept}


def _drifted(drifts: dict[str, str]) -> tuple[list[ConnectorDoc], list[ModelDoc]]:
    connectors: list[ConnectorDoc] = []
    models: list[ModelDoc] = []
    for name, drift in drifts.items():
        made, there = stands(blueprint(name))
        DRIFTS[drift](made, there)
        connectors += made
        models += there
    return connectors, models


drifted = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(sorted(DRIFTS)), min_size=1)


@settings(max_examples=60, deadline=None)
@given(drifts=drifted, data=st.data())
def test_a_plan_is_the_same_in_whatever_order_things_are_found(drifts: dict[str, str], data: st.DataObject) -> None:
    wanted = [blueprint(name) for name in NAMES[:3]]
    connectors, models = _drifted(drifts)
    first = planned(wanted, cluster(connectors, models))
    again = data.draw(st.permutations(wanted))
    assert planned(again, cluster(data.draw(st.permutations(connectors)), data.draw(st.permutations(models)))) == first
    assert Change.of_dict(first.changes[0].as_dict()) == first.changes[0] if first.changes else True


@settings(max_examples=60, deadline=None)
@given(drifts=drifted)
def test_exactly_what_drifted_is_named(drifts: dict[str, str]) -> None:
    wanted = [blueprint(name) for name in NAMES]
    found = planned(wanted, cluster(*_drifted(drifts)))
    right = [name for name, drift in drifts.items() if drift == "none"]
    assert sorted(found.unchanged) == sorted(right)
    assert {change.what for change in found.changes} == set(NAMES) - set(right)


def test_every_kind_of_change_is_reached_and_each_stage_comes_after_what_it_needs() -> None:
    of = {name: blueprint(name) for name in ("adopt", "clean", "create", "redeploy", "swap", "update", "blocked")}
    connectors: list[ConnectorDoc] = []
    models: list[ModelDoc] = []
    for name in ("clean", "redeploy", "swap", "update", "blocked"):
        made, there = stands(of[name])
        connectors, models = [*connectors, *made], [*models, *there]
    connector_of, model_of = {one["id"]: one for one in connectors}, {one["id"]: one for one in models}
    connector_of["c-swap"]["parameters"]["model"] = "other"
    model_of["m-update"]["is_enabled"] = False
    model_of["m-redeploy"]["model_state"] = "UNDEPLOYED"
    model_of["m-blocked"]["model_state"] = "ODD"
    connectors += [connector(of["clean"], "left", created=0), foreign(of["adopt"], "theirs"), *stands(INSIDE)[0]]
    models += [model(of["adopt"], "m-adopt", "theirs"), *stands(INSIDE)[1]]
    found = planned(
        [*of.values(), BY_ROLE, Desired("broken", None)],
        cluster([*connectors, *stands(BY_ROLE)[0]], [*models, *stands(BY_ROLE)[1]], trusts=False),
        role_lacks=lambda of: None,
    )
    assert set(found.counts) == {kind.value for kind in Kind}
    first, blueprints, last = found.stages()
    assert {change.kind for change in chain.from_iterable(first)} == {Kind.SETTINGS}
    assert [one[0].what for one in blueprints] == ["by_role", "create", "adopt", "update", "redeploy", "swap"]
    assert {change.kind for change in chain.from_iterable(last)} == {Kind.CLEAN, Kind.ORPHAN}
    assert not {Kind.BLOCKED, Kind.BROKEN} & {
        one.kind for stage in found.stages() for one in chain.from_iterable(stage)
    }


def test_a_fleet_of_a_thousand_is_planned_in_no_time() -> None:
    of = [parse_blueprint(f"model_{index}", document(f"model_{index}"), source="") for index in range(1000)]
    on = converged(*of)
    started = time.process_time()
    found: Plan = planned(of, on)
    assert found.is_empty
    assert time.process_time() - started < 5.0  # takes about 0.3 s; a bound against a change of kind
