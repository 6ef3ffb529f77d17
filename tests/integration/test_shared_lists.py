"""Trusted endpoints and role mappings are lists that the whole cluster shares: what others put there stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opensearch_ml.blueprint.target import RoleMapping
from opensearch_ml.errors import PermissionDenied, UntrustedEndpoint
from opensearch_ml.hook import TRUSTED_ENDPOINTS, OpenSearchMLHook
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints, remove_trusted_endpoints
from opensearch_ml.steps.role_mapping import ensure_role_mapping
from tests.support.cluster import Cluster, connections
from tests.support.threads import at_once

THEIRS = [r"^https://theirs\.example\.com/.*$", r"^https://runtime\.sagemaker\..*[a-z0-9-]\.amazonaws\.com/.*$"]
ROLE = "ml_full_access"


def url(number: int) -> tuple[str, str]:
    address = f"https://host-{number}.example.com/v1"
    return (rf"^https://host-{number}\.example\.com/v1$", address)


def mapping(cluster: Cluster) -> dict[str, list[str]]:
    found = cluster.get(f"/_plugins/_security/api/rolesmapping/{ROLE}")[ROLE]
    return {key: found[key] for key in ("backend_roles", "users", "hosts")}


@pytest.fixture
def restricted(cluster: Cluster) -> Iterator[OpenSearchMLHook]:
    """A hook whose user has ml_full_access's permissions and no others."""
    cluster.add_user("restricted", "Vb6-Hq1-Tt2-Xw9", [])
    cluster.restrict_role("ml_only", ["cluster:admin/opensearch/ml/*", "cluster_monitor"], ["restricted"])
    with connections(restricted=cluster.connection(login="restricted")):
        yield OpenSearchMLHook("restricted")


def test_others_trusted_endpoints_stay_in_their_order(cluster: Cluster, hook: OpenSearchMLHook) -> None:
    setting = {"persistent": {TRUSTED_ENDPOINTS: THEIRS}}
    cluster.request("PUT", "/_cluster/settings", json=setting).raise_for_status()
    assert ensure_trusted_endpoints(hook, [url(1)])
    assert hook.trusted_endpoints() == [*THEIRS, r"^(?<opensearchml>https://host-1\.example\.com/v1)$"]
    before = cluster.writes()
    assert not ensure_trusted_endpoints(hook, [url(1)])
    assert cluster.writes() == before
    assert remove_trusted_endpoints(hook)
    assert hook.trusted_endpoints() == THEIRS


def test_an_entry_that_another_run_has_just_added_is_not_taken_away(hook: OpenSearchMLHook) -> None:
    ensure_trusted_endpoints(hook, [url(1)])  # its connector is about to be created
    ensure_trusted_endpoints(hook, [url(2)])
    assert remove_trusted_endpoints(hook, [url(2)[0]])
    have = hook.trusted_endpoints()
    assert any("host-1" in entry for entry in have)
    assert not any("host-2" in entry for entry in have)


@pytest.mark.parametrize("scope", ["persistent", "transient"])
def test_a_list_that_was_written_as_one_text_keeps_all_its_entries(
    cluster: Cluster, hook: OpenSearchMLHook, scope: str
) -> None:
    setting = {scope: {TRUSTED_ENDPOINTS: ",".join(THEIRS)}}
    cluster.request("PUT", "/_cluster/settings", json=setting).raise_for_status()
    assert ensure_trusted_endpoints(hook, [url(1)])
    found = cluster.get("/_cluster/settings?flat_settings=true")[scope][TRUSTED_ENDPOINTS]
    assert found == [*THEIRS, r"^(?<opensearchml>https://host-1\.example\.com/v1)$"]


def test_the_servers_own_defaults_stay_too(hook: OpenSearchMLHook) -> None:
    defaults = hook.trusted_endpoints()
    assert len(defaults) > 5
    ensure_trusted_endpoints(hook, [url(1)])
    assert hook.trusted_endpoints()[: len(defaults)] == defaults


def test_a_url_that_is_trusted_already_needs_no_entry_and_no_permission(restricted: OpenSearchMLHook) -> None:
    covered = (r"^https://api\.openai\.com/v1/embeddings$", "https://api.openai.com/v1/embeddings")
    assert not ensure_trusted_endpoints(restricted, [covered])


def test_a_user_who_may_not_add_an_endpoint_is_told_what_to_ask_for(
    cluster: Cluster, restricted: OpenSearchMLHook
) -> None:
    before = cluster.writes()
    with pytest.raises(UntrustedEndpoint) as raised:
        ensure_trusted_endpoints(restricted, [url(1)])
    assert "no permissions for [cluster:admin/settings/update]" in raised.value.evidence
    assert "PUT /_cluster/settings" in raised.value.fix
    assert "host-1" in raised.value.fix
    assert cluster.writes() == before


def test_endpoints_added_at_once_are_all_there_once(cluster: Cluster, hook: OpenSearchMLHook) -> None:
    setting = {"persistent": {TRUSTED_ENDPOINTS: THEIRS}}
    cluster.request("PUT", "/_cluster/settings", json=setting).raise_for_status()
    numbers = iter([*range(6), *range(6)])  # each twice
    at_once(12, lambda: ensure_trusted_endpoints(OpenSearchMLHook(), [url(next(numbers))]))
    have = hook.trusted_endpoints()
    assert have[: len(THEIRS)] == THEIRS
    assert sorted(have[len(THEIRS) :]) == [rf"^(?<opensearchml>https://host-{n}\.example\.com/v1)$" for n in range(6)]


def test_others_mappings_stay(cluster: Cluster, hook: OpenSearchMLHook) -> None:
    theirs = {"backend_roles": ["theirs", "more"], "users": ["somebody"], "hosts": ["*.example.com"]}
    path = f"/_plugins/_security/api/rolesmapping/{ROLE}"
    cluster.request("PUT", path, json=theirs).raise_for_status()
    ours = RoleMapping(backend_roles=["arn:aws:iam::111122223333:role/airflow", "more"], users=["airflow"])
    assert ensure_role_mapping(hook, ROLE, ours)
    assert mapping(cluster) == {
        "backend_roles": ["theirs", "more", "arn:aws:iam::111122223333:role/airflow"],
        "users": ["somebody", "airflow"],
        "hosts": ["*.example.com"],
    }
    before = cluster.writes()
    assert not ensure_role_mapping(hook, ROLE, ours)
    assert cluster.writes() == before


def test_the_first_mapping_of_a_role_is_made(cluster: Cluster, hook: OpenSearchMLHook) -> None:
    ensure_role_mapping(hook, ROLE, RoleMapping(backend_roles=["a", "b", "a"]))
    assert mapping(cluster) == {"backend_roles": ["a", "b"], "users": [], "hosts": []}


def test_a_mapping_without_the_list_gets_all_of_ours(cluster: Cluster, hook: OpenSearchMLHook) -> None:
    path = f"/_plugins/_security/api/rolesmapping/{ROLE}"
    cluster.request("PUT", path, json={"users": ["somebody"]}).raise_for_status()
    ensure_role_mapping(hook, ROLE, RoleMapping(backend_roles=["a", "b"], hosts=["h"]))
    assert mapping(cluster) == {"backend_roles": ["a", "b"], "users": ["somebody"], "hosts": ["h"]}


@pytest.mark.parametrize("first", [True, False], ids=["no mapping yet", "others are mapped"])
def test_roles_mapped_at_once_are_all_there_once(cluster: Cluster, hook: OpenSearchMLHook, first: bool) -> None:
    theirs = [] if first else ["theirs"]
    if theirs:
        path = f"/_plugins/_security/api/rolesmapping/{ROLE}"
        cluster.request("PUT", path, json={"backend_roles": theirs}).raise_for_status()
    names = iter([f"role-{n}" for n in (*range(5), *range(5))])  # each twice
    at_once(10, lambda: ensure_role_mapping(OpenSearchMLHook(), ROLE, RoleMapping(backend_roles=[next(names)])))
    assert sorted(mapping(cluster)["backend_roles"]) == sorted([*theirs, *(f"role-{n}" for n in range(5))])


def test_a_user_who_is_no_security_administrator_is_told_so(restricted: OpenSearchMLHook) -> None:
    with pytest.raises(PermissionDenied, match="configuration"):
        ensure_role_mapping(restricted, ROLE, RoleMapping(users=["somebody"]))


def test_only_the_settings_that_differ_are_written(cluster: Cluster, hook: OpenSearchMLHook) -> None:
    theirs = {"plugins.ml_commons.max_model_on_node": "7", "plugins.ml_commons.only_run_on_ml_node": "false"}
    cluster.request("PUT", "/_cluster/settings", json={"persistent": theirs}).raise_for_status()
    wanted = {
        "plugins.ml_commons.only_run_on_ml_node": False,
        "plugins.ml_commons.connector.private_ip_enabled": True,
        "plugins.ml_commons.connector_access_control_enabled": False,
    }
    outcome = ensure_ml_settings(hook, wanted)
    assert outcome.details == ("plugins.ml_commons.connector.private_ip_enabled = true",)
    persistent = cluster.get("/_cluster/settings?flat_settings=true")["persistent"]
    assert persistent == theirs | {"plugins.ml_commons.connector.private_ip_enabled": "true"}
    before = cluster.writes()
    assert not ensure_ml_settings(hook, wanted)
    assert cluster.writes() == before
