"""How servers are started and stopped, shown with the AWS account, the quickest of them."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from local.aws_account.process import start_aws_account
from local.server_process import ServerProcess, ServerStartError


def test_a_stopped_server_is_gone_and_stopping_again_does_nothing() -> None:
    server = start_aws_account()
    assert server.process() is not None
    server.stop()
    assert server.process() is None
    server.stop()


def test_a_server_is_stopped_by_another_process_from_its_plain_values() -> None:
    with start_aws_account() as server:
        values = (server.url, server.pid, server.created_s)
        stop = f"from local.server_process import ServerProcess; ServerProcess{values}.stop()"
        subprocess.run([sys.executable, "-c", stop], check=True)
        assert server.process() is None


def test_a_pid_that_belongs_to_another_process_by_now_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        ServerProcess("http://127.0.0.1:1", bystander.pid, created_s=1.0).stop()
        assert bystander.poll() is None
        bystander.communicate()


def test_a_taken_port_is_an_error_that_shows_the_servers_own_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerStartError, match="in use"):
        start_aws_account(port=taken.getsockname()[1])
