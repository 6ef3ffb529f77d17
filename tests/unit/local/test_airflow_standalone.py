"""Airflow's start: whose port it is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from local import airflow_standalone
from local.airflow_standalone import free_port, lost_its_port, start_airflow
from local.server_process import HOST

URL = f"http://{HOST}:8080"
TAKEN = "[Errno 98] error while attempting to bind on address ('127.0.0.1', {}): address already in use"


@pytest.mark.parametrize(("port", "lost"), [(8080, True), (8793, False), (18080, False)])
def test_a_lost_port_is_told_from_the_other_ports_of_airflow(port: int, lost: bool) -> None:
    assert lost_its_port(f"api-server | {TAKEN.format(port)}\n", URL) is lost


def test_a_port_that_is_taken_gives_another() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (port, 0)


@pytest.mark.slow  # make test-slow
def test_an_airflow_that_lost_its_port_is_started_again_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free_port(0)])
        monkeypatch.setattr(airflow_standalone, "free_port", lambda preferred: next(ports))
        airflow = start_airflow(tmp_path, {})
        try:
            assert airflow.unhealthy() == []
        finally:
            airflow.stop()
    assert next(ports, None) is None
