"""The embedded OpenSearch, started for real: 3.6.0 through its whole life, 2.19.1 as two nodes from the beginning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from local import distribution
from local.errors import ClusterStartError
from local.opensearch import OpenSearchCluster
from tests.support.repository import REPOSITORY

PLUGINS = {
    "opensearch-job-scheduler",
    "opensearch-knn",
    "opensearch-ml",
    "opensearch-neural-search",
    "opensearch-security",
}
PROXY_HEADERS = {"x-forwarded-for": "127.0.0.1", "x-proxy-user": "arn:caller", "x-proxy-roles": "arn:role,other"}


def request(
    cluster: OpenSearchCluster, path: str, *, method: str = "GET", password: str | None = None, node: int = 1
) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # REQUESTS_CA_BUNDLE would win over the cluster's own CA
        session.verify = str(cluster.ca_path)
        session.auth = (cluster.admin_user, password or cluster.admin_password)
        return session.request(method, f"{cluster.nodes[node - 1].url}{path}", timeout=30)


def as_proxy(cluster: OpenSearchCluster) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(cluster.ca_path)
        return session.get(f"{cluster.url}/_plugins/_security/authinfo", headers=PROXY_HEADERS, timeout=30)


def servers_of(cluster: OpenSearchCluster) -> list[int]:
    """Found without any record of ours."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(cluster.folder) in argument for argument in process.info["cmdline"] or ())
        and "java" in (process.info["cmdline"] or [""])[0]
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")  # of mode 0700: as root, a folder that `nobody` cannot walk to


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[OpenSearchCluster]:
    """3.6.0, started by a process that has ended since."""
    code = f"import pathlib, local.opensearch as o; o.OpenSearchCluster(pathlib.Path({str(home)!r}), preferred_port=0)"
    subprocess.run([sys.executable, "-c", f"{code}.start()"], cwd=REPOSITORY, check=True, timeout=300)
    cluster = OpenSearchCluster(home, preferred_port=0)
    try:
        cluster.wait_until_healthy()
        yield cluster
    finally:
        OpenSearchCluster(home).delete()


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchCluster]:
    """2.19.1, two nodes from the beginning."""
    cluster = OpenSearchCluster(
        tmp_path_factory.mktemp("two"), version="2.19.1", nodes=2, heap="512m", preferred_port=0, proxy_auth=True
    )
    try:
        cluster.start()
        cluster.wait_until_healthy()
        yield cluster
    finally:
        cluster.delete()


def test_servers_outlive_the_process_that_started_them(cluster: OpenSearchCluster) -> None:
    assert cluster.running
    assert cluster.pids == tuple(servers_of(cluster))


def test_the_version_and_the_plugins_are_there(cluster: OpenSearchCluster) -> None:
    assert request(cluster, "/").json()["version"]["number"] == "3.6.0"
    assert {plugin["component"] for plugin in request(cluster, "/_cat/plugins?format=json").json()} == PLUGINS
    assert request(cluster, "/_plugins/_ml/stats").ok


def test_settings_of_ml_commons_are_the_servers_defaults(cluster: OpenSearchCluster) -> None:
    settings = request(cluster, "/_cluster/settings?include_defaults=true&flat_settings=true").json()
    assert settings["persistent"] == settings["transient"] == {}
    assert settings["defaults"]["plugins.ml_commons.only_run_on_ml_node"] == "true"


def test_the_certificate_is_verified_with_the_clusters_own_authority_only(cluster: OpenSearchCluster) -> None:
    by_name = cluster.url.replace("127.0.0.1", "localhost")
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(by_name, verify=str(cluster.ca_path), timeout=30).status_code == 401
        with pytest.raises(requests.exceptions.SSLError):
            session.get(cluster.url, timeout=30)


def test_a_wrong_password_is_refused(cluster: OpenSearchCluster) -> None:
    assert request(cluster, "/", password="admin").status_code == 401


def test_no_demo_user_exists(cluster: OpenSearchCluster) -> None:
    assert set(request(cluster, "/_plugins/_security/api/internalusers").json()) == {"admin"}


def test_builtin_roles_and_the_security_api_are_there(cluster: OpenSearchCluster) -> None:
    roles = request(cluster, "/_plugins/_security/api/roles").json()
    assert {"ml_full_access", "ml_read_access", "all_access"} <= set(roles)


def test_only_the_loopback_interface_is_listened_on(cluster: OpenSearchCluster) -> None:
    listening = psutil.Process(cluster.pids[0]).net_connections(kind="tcp")
    addresses = {socket.laddr.ip for socket in listening if socket.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"} or addresses == {"::ffff:127.0.0.1"}


def test_proxy_headers_count_for_nothing_by_default(cluster: OpenSearchCluster) -> None:
    assert as_proxy(cluster).status_code == 401


def test_private_files_are_the_owners_alone(cluster: OpenSearchCluster) -> None:
    private = ("admin_password", "node-key.pem", "node-1/config/node-key.pem", "node-1/config/opensearch.yml")
    assert {oct((cluster.folder / name).stat().st_mode & 0o777) for name in private} == {"0o600"}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user keeps the given folder")
def test_root_from_a_private_folder_runs_as_nobody_elsewhere(cluster: OpenSearchCluster, home: Path) -> None:
    assert psutil.Process(cluster.pids[0]).username() == "nobody"
    assert not cluster.folder.is_relative_to(home)


def test_second_start_does_nothing(cluster: OpenSearchCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "download", None)
    before = cluster.pids
    cluster.start()
    assert cluster.pids == before


@dataclass(frozen=True)
class Restarted:
    cluster: OpenSearchCluster
    url_before: str


@pytest.fixture(scope="module")
def restarted(cluster: OpenSearchCluster, home: Path) -> Restarted:
    """The same cluster, started again without downloads, with a second node and with proxy authentication."""
    request(cluster, "/kept", method="PUT").raise_for_status()
    url = cluster.url
    cluster.stop()
    assert (cluster.pids, servers_of(cluster)) == ((), [])
    again = OpenSearchCluster(home, nodes=2, preferred_port=0, proxy_auth=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distribution, "download", None)
        again.start()
    again.wait_until_healthy()
    return Restarted(again, url)


def test_restart_keeps_data_and_url(restarted: Restarted) -> None:
    assert restarted.cluster.url == restarted.url_before
    assert request(restarted.cluster, "/kept").ok


def test_proxy_authentication_can_be_switched_on_later(restarted: Restarted) -> None:
    caller = as_proxy(restarted.cluster).json()
    assert caller["user_name"] == "arn:caller"
    assert sorted(caller["backend_roles"]) == ["arn:role", "other"]
    assert request(restarted.cluster, "/").ok


def test_a_second_node_can_join_later_and_a_crash_of_it_is_noticed(restarted: Restarted) -> None:
    both = restarted.cluster
    assert len(both.urls) == 2
    assert request(both, "/_cluster/health", node=2).json()["number_of_nodes"] == 2
    first, second = both.pids
    crashed = psutil.Process(second)
    os.kill(second, signal.SIGKILL)
    crashed.wait(10)
    assert both.pids == (first,)
    assert not both.running
    with pytest.raises(ClusterStartError, match="node-2 has ended"):
        both.wait_until_healthy()
    both.start()
    both.wait_until_healthy()
    assert both.pids[0] == first
    both.kill_node(2)
    both.wait_until_healthy()
    assert request(both, "/_cluster/health").json()["number_of_nodes"] == 1


def test_whoever_knows_of_one_node_still_stops_all(cluster: OpenSearchCluster, restarted: Restarted) -> None:
    restarted.cluster.start()
    pids = cluster.pids
    assert len(pids) == 2
    cluster.stop()
    assert (cluster.pids, servers_of(cluster)) == ((), [])


def test_a_server_that_dies_at_the_start_is_told_at_once_with_its_log(tmp_path: Path) -> None:
    broken = OpenSearchCluster(tmp_path, preferred_port=0, heap="4m")  # too small for Java to begin with
    started = time.monotonic()
    try:
        with pytest.raises(ClusterStartError, match="node-1 has ended") as caught, broken:
            pass
        assert "heap size" in caught.value.evidence
        assert time.monotonic() - started < 15
        assert servers_of(broken) == []
    finally:
        broken.delete()


def test_reset_forgets_the_data_and_keeps_the_password(cluster: OpenSearchCluster) -> None:
    password = cluster.admin_password
    cluster.reset()
    assert not (cluster.folder / "node-1/data").exists()
    assert cluster.admin_password == password


@pytest.mark.slow
def test_two_nodes_of_the_older_line_form_a_cluster(two_nodes: OpenSearchCluster) -> None:
    for number in (1, 2):
        answer = request(two_nodes, "/_cat/nodes?format=json&h=name,version", node=number).json()
        assert sorted((node["name"], node["version"]) for node in answer) == [
            ("node-1", "2.19.1"),
            ("node-2", "2.19.1"),
        ]


@pytest.mark.slow
def test_the_older_line_has_the_same_plugins_and_authentication(two_nodes: OpenSearchCluster) -> None:
    found = request(two_nodes, "/_cat/plugins?format=json").json()
    assert {plugin["component"] for plugin in found} == PLUGINS
    assert request(two_nodes, "/_plugins/_ml/stats").ok
    assert request(two_nodes, "/", password="admin").status_code == 401
    assert as_proxy(two_nodes).json()["user_name"] == "arn:caller"


@pytest.mark.slow
def test_a_node_of_two_can_be_stopped_while_a_client_holds_a_connection(two_nodes: OpenSearchCluster) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(two_nodes.urls[1], verify=str(two_nodes.ca_path), timeout=30)
        started = time.monotonic()
        two_nodes.stop_node(2)
        assert time.monotonic() - started < 10
    two_nodes.wait_until_healthy()
    assert request(two_nodes, "/_cluster/health").json()["number_of_nodes"] == 1
    assert two_nodes.pids == tuple(servers_of(two_nodes))
