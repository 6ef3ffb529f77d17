"""A node's process and ports, with a small process in the server's place."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.opensearch_config import Ports
from local.opensearch_node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    folder = tmp_path / "node-1"
    folder.mkdir()
    return Node(folder)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def record(node: Node, pid: int, created_s: float) -> None:
    (node.folder / "process.json").write_text(json.dumps({"url": "", "pid": pid, "created_s": created_s}))


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_node_that_was_never_started_has_no_pid_and_no_url(node: Node) -> None:
    assert (node.pid, node.url, node.should_run) == (None, None, False)
    node.stop()
    node.kill()


def test_a_recorded_process_is_found_and_stopped(node: Node, process: subprocess.Popen[bytes]) -> None:
    record(node, process.pid, psutil.Process(process.pid).create_time())
    assert node.pid == process.pid
    node.stop()
    assert node.pid is None
    assert not psutil.pid_exists(process.pid)


def test_a_recycled_pid_is_neither_ours_nor_killed(node: Node, process: subprocess.Popen[bytes]) -> None:
    record(node, process.pid, psutil.Process(process.pid).create_time() - 60)
    assert node.pid is None
    node.stop()
    node.kill()
    assert process.poll() is None


def test_a_crashed_process_is_noticed_and_still_expected_to_run(node: Node, process: subprocess.Popen[bytes]) -> None:
    record(node, process.pid, psutil.Process(process.pid).create_time())
    process.kill()
    process.wait()
    assert (node.pid, node.should_run) == (None, True)


def test_preferred_ports_are_taken_and_remembered(node: Node) -> None:
    preferred = Ports(free_port(), free_port())
    assert node.choose_ports(preferred, print) == preferred
    assert node.choose_ports(Ports(1, 2), print) == preferred
    assert node.url == f"https://127.0.0.1:{preferred.http}"


def test_another_port_is_chosen_for_a_taken_one_and_told(node: Node, taken: int) -> None:
    said: list[str] = []
    chosen = node.choose_ports(Ports(taken, free_port()), said.append)
    assert chosen.http != taken
    assert said == [f"OpenSearch node-1: port {taken} is taken, so it listens on {chosen.http}"]


def test_any_port_is_chosen_silently_if_none_is_preferred(node: Node) -> None:
    said: list[str] = []
    assert node.choose_ports(Ports(0, 0), said.append).http > 0
    assert said == []


def test_the_end_of_the_log_tells_of_the_trouble_before_it(node: Node) -> None:
    later = [f"[INFO ] {number}" for number in range(50)]
    node.log_path.write_text("\n".join(["[INFO ] a", "[x][ERROR][y] the reason", "Caused by: the cause", *later]))
    assert node.log_tail().split("\n    ") == ["[x][ERROR][y] the reason", "Caused by: the cause", *later[-3:]]


def test_a_log_that_is_not_there_is_told_as_such(node: Node) -> None:
    assert node.log_tail() == "it wrote nothing"


def test_a_data_reset_keeps_the_ports(node: Node) -> None:
    ports = node.choose_ports(Ports(0, 0), print)
    (node.folder / "data/nodes").mkdir(parents=True)
    node.delete_data()
    assert not (node.folder / "data").exists()
    assert node.ports == ports
