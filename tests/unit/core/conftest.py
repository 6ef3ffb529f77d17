"""A real HTTP server on the loopback, with and without TLS: it answers what it is told and records what it is sent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.certificates import issue_certificates


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answering:
    """The server: `port`, what it answers next, and what it was sent."""

    port: int = 0
    status: int = 200
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    received: list[Received] = field(default_factory=list)
    first: list[tuple[int, str]] = field(default_factory=list)

    def answer(self, status: int, body: str, content_type: str = "application/json", **headers: str) -> None:
        """Answer so from now on."""
        self.status, self.body, self.headers = status, body, {"Content-Type": content_type, **headers}
        self.received.clear()
        self.first.clear()

    def answer_first(self, status: int, body: str) -> None:
        """Answer the next request so, before those that follow."""
        self.first.append((status, body))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], answering: Answering, context: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.answering, self.context = answering, context

    def get_request(self) -> tuple[socket.socket, object]:
        connected, address = super().get_request()
        if self.context:
            connected = self.context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
        return connected, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that refuse the certificate are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = self.server.answering
        told.received.append(Received(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, text = told.first.pop(0) if told.first else (told.status, told.body)
        answer = text.encode()
        self.send_response(status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


Serve = Callable[..., Answering]


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
    servers: list[_Server] = []

    def start(*, with_tls: bool = False, host: str = "127.0.0.1") -> Answering:
        context = None
        if with_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "node.pem", tls / "node.key")
        answering = Answering()
        server = _Server((host, 0), answering, context)
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
        return probe.getsockname()[1]
