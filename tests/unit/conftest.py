"""Fixtures of the unit tests: servers on the loopback, and waits of hundredths of a second."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.certificates import issue_certificates
from tests.support.answering_server import Answering, AnsweringServer, Serve


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``ca.pem``, ``node.pem`` and ``node.key`` of an authority of our own."""
    folder = tmp_path_factory.mktemp("tls")
    made = issue_certificates()
    for name, pem in (("ca.pem", made.ca), ("node.pem", made.node), ("node.key", made.node_key)):
        (folder / name).write_bytes(pem)
    return folder


@pytest.fixture(scope="session")
def serve(tls: Path) -> Iterator[Serve]:
    """Starts a server: ``serve(tls=True, host="::1")``."""
    servers: list[AnsweringServer] = []

    def start(*, with_tls: bool = False, host: str = "127.0.0.1") -> Answering:
        context = None
        if with_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "node.pem", tls / "node.key")
        answering = Answering()
        server = AnsweringServer((host, 0), answering, context)
        answering.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return answering

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def _plain(serve: Serve) -> Answering:
    return serve()


@pytest.fixture(scope="session")
def _secured(serve: Serve) -> Answering:
    return serve(with_tls=True)


@pytest.fixture
def plain(_plain: Answering) -> Answering:
    """A plain HTTP server that answers ``{}``."""
    _plain.answer(200, "{}")
    return _plain


@pytest.fixture
def secured(_secured: Answering) -> Answering:
    """A TLS server with a certificate of our own authority."""
    _secured.answer(200, "{}")
    return _secured


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits of sensor and trigger to hundredths of a second."""
    monkeypatch.setattr("opensearch_ml.sensors.DEFER_AFTER_S", 0.1)
    monkeypatch.setattr("opensearch_ml.sensors.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("opensearch_ml.steps.deployment.TASK_REFRESH_S", ())
