"""What the embedded cluster is configured with, and what it refuses before it starts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import namedtuple
from pathlib import Path

import bcrypt
import psutil
import pytest

from local import opensearch
from local.distribution import Layout
from local.errors import ClusterStartError
from local.opensearch import PASSWORD_CLASSES, OpenSearchCluster
from local.opensearch_config import NodeSettings, Ports, internal_users, opensearch_settings, security_config


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENSEARCH_ML_CACHE", str(tmp_path / "cache"))


def settings(*ports: Ports) -> dict[str, object]:
    return opensearch_settings(NodeSettings(Path("/home/node-1"), ports[0], ports))


def test_only_the_loopback_interface_is_bound() -> None:
    assert settings(Ports(9200, 9300))["network.host"] == "127.0.0.1"


def test_ml_commons_is_left_at_its_defaults() -> None:
    assert not [key for key in settings(Ports(9200, 9300)) if "ml_commons" in key]


def test_one_node_looks_for_no_others() -> None:
    assert settings(Ports(9200, 9300))["discovery.type"] == "single-node"


def test_two_nodes_look_for_each_other_and_the_first_forms_the_cluster() -> None:
    two = settings(Ports(9200, 9300), Ports(9201, 9301))
    assert "discovery.type" not in two
    assert two["discovery.seed_hosts"] == ["127.0.0.1:9300", "127.0.0.1:9301"]
    assert two["cluster.initial_cluster_manager_nodes"] == ["node-1"]


@pytest.mark.parametrize("on", [True, False])
def test_proxy_authentication_is_on_only_if_asked_for(on: bool) -> None:
    dynamic = security_config(proxy_auth=on)["config"]["dynamic"]
    assert dynamic["http"]["xff"]["enabled"] is on
    assert dynamic["authc"]["proxy_auth_domain"]["http_enabled"] is on
    assert dynamic["http"]["xff"]["internalProxies"] == r"127\.0\.0\.1"


def test_the_administrator_is_the_only_user_and_the_password_is_hashed() -> None:
    users = internal_users("S3cret-password")
    assert set(users) == {"_meta", "admin"}
    assert "S3cret-password" not in str(users)
    assert bcrypt.checkpw(b"S3cret-password", users["admin"]["hash"].encode())


def test_password_is_strong_stays_and_is_the_owners_alone(tmp_path: Path) -> None:
    cluster = OpenSearchCluster(tmp_path / "home")
    password = cluster.admin_password
    assert len(password) >= 20
    assert all(set(password) & set(characters) for characters in PASSWORD_CLASSES)
    assert OpenSearchCluster(tmp_path / "home").admin_password == password
    assert OpenSearchCluster(tmp_path / "other").admin_password != password
    assert stat.S_IMODE((cluster.folder / "admin_password").stat().st_mode) == 0o600


def test_root_keeps_a_cluster_out_of_a_folder_that_nobody_can_walk_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    home = private / "clone/.local"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    key = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    assert OpenSearchCluster(home).folder == tmp_path / "cache/clusters" / key
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert OpenSearchCluster(home).folder == home


def test_too_little_memory_is_told_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(2000 << 20))
    monkeypatch.setattr(opensearch, "lay_out", lambda version, say: Layout(version, tmp_path))
    monkeypatch.setattr(OpenSearchCluster, "_require_reach", lambda self, layout: None)
    cluster = OpenSearchCluster(tmp_path / "home", nodes=2, heap="1g")
    with pytest.raises(ClusterStartError, match="2000 MiB available, 3248 MiB needed") as caught:
        cluster.start()
    assert "smaller heap" in caught.value.fix
    assert cluster.pids == ()


def test_a_heap_that_is_no_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opensearch, "lay_out", lambda version, say: Layout(version, tmp_path))
    monkeypatch.setattr(OpenSearchCluster, "_require_reach", lambda self, layout: None)
    with pytest.raises(ClusterStartError, match="512m or 1g"):
        OpenSearchCluster(tmp_path / "home", heap="lots").start()


def test_a_cluster_that_never_ran_has_no_url_and_stops_without_complaint(tmp_path: Path) -> None:
    cluster = OpenSearchCluster(tmp_path / "home")
    cluster.stop()
    cluster.reset()
    assert (cluster.pids, cluster.running) == ((), False)
    with pytest.raises(ClusterStartError, match="before its first start"):
        _ = cluster.url
