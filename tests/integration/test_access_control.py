"""Who may use a connector and a model: what a blueprint says, as an ordinary user, with access control on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypedDict

import pytest

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import MLSettings, Target
from opensearch_ml.errors import PermissionDenied, RequestRefused
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.sources import check_source
from opensearch_ml.steps.cluster_settings import ensure_ml_settings
from opensearch_ml.steps.connector import ensure_connector
from opensearch_ml.steps.model import ensure_model_group
from opensearch_ml.steps.preflight import preflight
from opensearch_ml.steps.role_mapping import ML_ROLE
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.provisioning import CREDENTIAL, prepare, provision


class User(TypedDict):
    name: str
    password: str
    backend_roles: list[str]


ON = MLSettings(connector_access_control_enabled=True, model_access_control_enabled=True)
OFF = MLSettings(connector_access_control_enabled=False, model_access_control_enabled=False)
UNSAID = MLSettings()
ANN: User = {"name": "ann", "password": "canary-Zk4-Lq9-Bw2", "backend_roles": ["red", "blue"]}
BOB: User = {"name": "bob", "password": "canary-Rt7-Hn1-Pc5", "backend_roles": []}

Make = Callable[..., Blueprint]
As = Callable[[str], OpenSearchMLHook]


@contextmanager
def users_of(cluster: Cluster) -> Iterator[As]:
    """Yields what returns the hook of one of three users: ``admin``, ``ann`` with backend roles, ``bob`` without."""
    for user in (ANN, BOB):
        if user["name"] not in cluster.users:
            cluster.add_user(**user)
    mapping = {"users": ["ann", "bob"]}
    cluster.request("PUT", f"/_plugins/_security/api/rolesmapping/{ML_ROLE}", json=mapping).raise_for_status()
    with connections(**{f"of_{name}": cluster.connection(login=name) for name in ("admin", "ann", "bob")}):
        yield lambda name: OpenSearchMLHook(f"of_{name}")


@pytest.fixture
def as_user(cluster: Cluster) -> Iterator[As]:
    """The users of a cluster of each version."""
    with users_of(cluster) as as_user:
        yield as_user


@pytest.fixture
def as_user36(cluster36: Cluster) -> Iterator[As]:
    """The users of a cluster of the default version."""
    with users_of(cluster36) as as_user:
        yield as_user


def given(make_blueprint: Make, access: dict[str, Any]) -> Blueprint:
    """The blueprint with these access fields, in its connector and in its model group."""
    fields = {f"{path}__{field}": value for path in ("connector", "model__group") for field, value in access.items()}
    return make_blueprint(**({"model__group__name": "embeddings"} | fields))


@pytest.mark.parametrize(
    ("access", "mode", "roles"),
    [
        ({}, "private", []),
        ({"access_mode": "public"}, "public", []),
        ({"access_mode": "private"}, "private", []),
        ({"access_mode": "restricted", "backend_roles": ["red"]}, "restricted", ["red"]),
        ({"backend_roles": ["red"]}, "restricted", ["red"]),
        ({"add_all_backend_roles": True}, "restricted", ["blue", "red"]),
    ],
    ids=["unsaid", "public", "private", "restricted", "roles", "all roles"],
)
def test_an_ordinary_users_model_is_shared_as_the_blueprint_says_and_the_second_run_writes_nothing(
    cluster: Cluster, as_user: As, make_blueprint: Make, access: dict[str, Any], mode: str, roles: list[str]
) -> None:
    blueprint = given(make_blueprint, access)
    prepare(as_user("admin"), blueprint)
    ensure_ml_settings(as_user("admin"), ON.as_cluster_settings())
    model_id = provision(as_user("ann"), blueprint)
    for found in (cluster.search("connectors"), cluster.search("model_groups")):
        (one,) = found
        assert (one["owner"]["name"], one["access"], sorted(one.get("backend_roles") or ())) == ("ann", mode, roles)
    before = cluster.writes()
    assert provision(as_user("ann"), blueprint) == model_id
    assert cluster.writes() == before


@pytest.mark.parametrize(("access", "may"), [({"access_mode": "public"}, True), ({"backend_roles": ["red"]}, False)])
def test_who_shares_no_role_may_use_a_public_model_only(
    as_user: As, make_blueprint: Make, access: dict[str, Any], may: bool
) -> None:
    blueprint = given(make_blueprint, access)
    prepare(as_user("admin"), blueprint)
    ensure_ml_settings(as_user("admin"), ON.as_cluster_settings())
    model_id = provision(as_user("ann"), blueprint)
    if may:
        assert as_user("bob").predict(model_id, {"input": ["a"]})
    else:
        with pytest.raises(PermissionDenied, match="the object is not shared with the connection's user"):
            as_user("bob").predict(model_id, {"input": ["a"]})


def test_a_group_that_somebody_else_keeps_to_himself_is_told_as_that(as_user: As, make_blueprint: Make) -> None:
    ensure_ml_settings(as_user("admin"), ON.as_cluster_settings())
    ensure_model_group(as_user("ann"), given(make_blueprint, {"access_mode": "private"}))
    with pytest.raises(PermissionDenied) as raised:
        ensure_model_group(as_user("bob"), given(make_blueprint, {}))
    assert (
        raised.value.cause
        == "another user has a model group embeddings, which is not shared with the connection's user"
    )
    assert "already being used by a model group" in raised.value.evidence


# ---- preflight

FINDINGS: list[tuple[str, MLSettings, MLSettings, dict[str, Any], str | None]] = [
    ("ann", ON, UNSAID, {"access_mode": "public"}, None),
    ("ann", ON, UNSAID, {"backend_roles": ["red", "blue"]}, None),
    ("ann", ON, UNSAID, {"add_all_backend_roles": True}, None),
    ("ann", ON, UNSAID, {"add_all_backend_roles": False}, None),
    ("ann", ON, UNSAID, {"backend_roles": ["red", "green"]}, ".backend_roles: ann lacks green, and the cluster shares"),
    ("bob", ON, UNSAID, {"access_mode": "private"}, None),
    ("bob", ON, UNSAID, {"backend_roles": ["red"]}, ".backend_roles: bob lacks red, and the cluster shares"),
    ("bob", ON, UNSAID, {"add_all_backend_roles": True}, ".add_all_backend_roles: bob has no backend roles"),
    ("admin", ON, UNSAID, {"backend_roles": ["green"]}, None),
    ("admin", ON, UNSAID, {"add_all_backend_roles": True}, ".add_all_backend_roles: admin is an administrator"),
    ("ann", OFF, UNSAID, {}, None),
    ("ann", OFF, UNSAID, {"backend_roles": []}, None),
    ("ann", OFF, UNSAID, {"access_mode": "public"}, ".access_mode: access control is off on the cluster"),
    ("ann", OFF, UNSAID, {"backend_roles": ["red"]}, ".backend_roles: access control is off on the cluster"),
    ("ann", OFF, UNSAID, {"add_all_backend_roles": False}, ".add_all_backend_roles: access control is off"),
    ("ann", OFF, ON, {"access_mode": "public"}, None),
    ("ann", ON, OFF, {"access_mode": "public"}, ".access_mode: access control is off on the cluster"),
]


@pytest.mark.parametrize(("user", "before", "wanted", "access", "finding"), FINDINGS)
def test_preflight_finds_exactly_the_access_fields_that_the_server_refuses(
    as_user36: As,
    make_blueprint: Make,
    user: str,
    before: MLSettings,
    wanted: MLSettings,
    access: dict[str, Any],
    finding: str | None,
) -> None:
    admin, hook, blueprint = as_user36("admin"), as_user36(user), given(make_blueprint, access)
    prepare(admin, blueprint)
    ensure_ml_settings(admin, before.as_cluster_settings())
    target = Target(name="tests", settings=wanted)
    with connections(openai_default=f'{{"conn_type": "http", "password": "{OPENAI_KEY}"}}'):
        report = preflight(
            hook,
            admin,
            lambda: blueprint,
            target,
            aws_conn_id="aws_default",
            check_source=lambda blueprint: check_source(blueprint, hook),
        )
    told = "\n".join(map(str, report.problems))
    # What the run would go on to do.
    ensure_ml_settings(admin, wanted.as_cluster_settings())
    steps: dict[str, Callable[[], object]] = {
        "connector": lambda: ensure_connector(hook, blueprint, CREDENTIAL),
        "model.group": lambda: ensure_model_group(hook, blueprint),
    }
    for path, ensure in steps.items():
        assert (f"{path}{finding}" in told) if finding else not told
        with pytest.raises(RequestRefused) if finding else nullcontext():
            ensure()


def test_refusals_of_access_fields_name_the_switch_of_each(as_user36: As, make_blueprint: Make) -> None:
    blueprint = given(make_blueprint, {"access_mode": "public"})
    prepare(as_user36("admin"), blueprint)
    with pytest.raises(RequestRefused, match="connector_access_control_enabled: true in the target"):
        ensure_connector(as_user36("ann"), blueprint, CREDENTIAL)
    with pytest.raises(RequestRefused, match="model_access_control_enabled: true in the target"):
        ensure_model_group(as_user36("ann"), blueprint)
