"""A real HTTP server on the loopback, with and without TLS: it gives set answers and records the requests."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol


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

    def answer(self, status: int, body: str, content_type: str = "application/json", **headers: str) -> None:
        """Answer so from now on."""
        self.status, self.body, self.headers = status, body, {"Content-Type": content_type, **headers}
        self.received.clear()


class Serve(Protocol):
    """What the fixture ``serve`` gives: it starts a server."""

    def __call__(self, *, with_tls: bool = False, host: str = "127.0.0.1") -> Answering: ...


class AnsweringServer(ThreadingHTTPServer):
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
    server: AnsweringServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = self.server.answering
        told.received.append(Received(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        answer = told.body.encode()
        self.send_response(told.status)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
