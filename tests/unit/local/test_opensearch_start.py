"""How a cluster starts and fails to, with a shell script in Java's place."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import opensearch
from local.distribution import Layout
from local.errors import ClusterNotHealthy, ClusterStartError
from local.opensearch import OpenSearchCluster

SLEEP = "exec sleep 60"


class Cluster(OpenSearchCluster):
    """Keeps what it says."""

    def __init__(self, home: Path, preferred_port: int) -> None:
        self.said: list[str] = []
        super().__init__(home, preferred_port=preferred_port, say=self.said.append)


MakeCluster = Callable[..., Cluster]


@pytest.fixture
def make_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeCluster:
    """Returns a cluster whose servers run the given script."""

    def make(script: str, preferred_port: int = 0) -> Cluster:
        layout = Layout("3.6.0", tmp_path / "layout")
        layout.java.parent.mkdir(parents=True)
        layout.java.write_text(f"#!/bin/sh\n{script}\n")
        layout.java.chmod(0o755)
        layout.security_config.mkdir(parents=True)
        monkeypatch.setattr(opensearch, "lay_out", lambda version, say: layout)
        monkeypatch.setattr(os, "geteuid", lambda: 1000)  # as root, the script would run as nobody
        return Cluster(tmp_path / "home", preferred_port)

    return make


def test_a_server_that_lost_its_port_to_a_faster_process_is_started_again_on_another(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    first_time = f"{tmp_path}/first_time"
    script = f"if mkdir {first_time}; then echo 'java.net.BindException: Address already in use'; exit 1; fi\n{SLEEP}"
    with socket.socket() as faster:
        faster.bind(("127.0.0.1", 0))
        port = faster.getsockname()[1]
        faster.close()
        cluster = make_cluster(script, port)
        cluster.start()
        assert cluster.url.endswith(f":{port}")
        while cluster.pids:
            time.sleep(0.01)
    with socket.socket() as faster:
        faster.bind(("127.0.0.1", port))
        faster.listen()
        with pytest.raises(ClusterNotHealthy):
            cluster.wait_until_healthy(timeout_s=1)
    assert not cluster.url.endswith(f":{port}")
    assert f"port {port} is taken" in cluster.said[-1]
    assert cluster.running
    cluster.stop()


def test_a_server_that_ended_is_told_at_once(make_cluster: MakeCluster) -> None:
    cluster = make_cluster("echo 'Exception: no such setting [x]'; exit 1")
    with pytest.raises(ClusterStartError, match=r"no such setting \[x\]"), cluster:
        pass


def test_a_server_that_never_answers_is_told_and_stopped(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(f"echo starting; {SLEEP}")
    monkeypatch.setattr(OpenSearchCluster.wait_until_healthy, "__defaults__", (0.5,))
    with pytest.raises(ClusterNotHealthy, match="node-1 does not answer") as caught, cluster:
        pass
    assert "starting" in caught.value.evidence
    assert cluster.pids == ()


def test_servers_get_none_of_the_callers_secrets(make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    cluster = make_cluster(f"env; {SLEEP}")
    cluster.start()
    with pytest.raises(ClusterNotHealthy):
        cluster.wait_until_healthy(timeout_s=0.5)
    cluster.stop()
    log = cluster.nodes[0].log_path.read_text()
    assert "HOME=" in log
    assert "canary" not in log
