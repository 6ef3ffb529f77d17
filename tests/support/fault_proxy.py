"""A proxy before a real cluster that loses the answer of what the cluster has done.

It notes every write by its method and path, ids left out; so what is lost is chosen from what was seen, and a write
that is added to the product cannot be forgotten here.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from tests.support.cluster import Cluster

TIMEOUT_S = 2.0  # of the client
READS = re.compile(r"GET |HEAD |POST \S*(?:_search|_predict)$")
KEPT: tuple[str, ...] = (
    "_plugins",
    "_ml",
    "_security",
    "api",
    "rolesmapping",
    "ml_full_access",
    "_cluster",
    "settings",
)
KEPT += ("connectors", "models", "model_groups", "tasks", "profile", "_create", "_register", "_deploy", "_undeploy")
FAULTS = ("503", "reset", "timeout")


class FaultProxy:
    """What was written through it, and what becomes of the answers.

    :ivar seen: how often each write was sent.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seen: Counter[str] = Counter()
        self._lose: tuple[str, str] | None = None
        self._refuse: Callable[[str], bool] = lambda line: False
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def connection(self) -> str:
        """An Airflow connection through the proxy."""
        extra = {"use_ssl": False, "timeout": TIMEOUT_S}
        return json.dumps(
            {
                "conn_type": "opensearch",
                "host": "http://127.0.0.1",
                "port": self._server.server_address[1],
                "login": "admin",
                "password": self.cluster.admin_password,
                "extra": extra,
            }
        )

    def lose_next(self, line: str, fault: str) -> None:
        """Lose the answer of the next request of a kind, which the cluster does nevertheless."""
        self._lose = (line, fault)

    @property
    def is_lost(self) -> bool:
        """Whether what was to be lost has been."""
        return self._lose is None

    @contextmanager
    def refusing(self, refuse: Callable[[str], bool]) -> Iterator[None]:
        """Answer 429 to the requests of some kinds, which the cluster does not see."""
        self._refuse = refuse
        try:
            yield
        finally:
            self._refuse = lambda line: False

    def fault_of(self, line: str) -> str:
        with self._lock:
            if not READS.match(line):
                self.seen[line] += 1
            if self._refuse(line):
                return "429"
            if self._lose and self._lose[0] == line:
                fault, self._lose = self._lose[1], None
                return fault
        return ""

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.owner.fault_of(line_of(self.command, self.path))
        if fault == "429":
            self._answer(429, b'{"error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}')
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "accept")}
        cluster = self.owner.cluster
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(cluster.ca_path)
            session.auth = ("admin", cluster.admin_password)
            told = session.request(self.command, cluster.url + self.path, data=body, headers=headers, timeout=60)
        if fault == "503":
            self._answer(503, b'{"message": "Service Unavailable"}')
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        else:
            if fault == "timeout":
                time.sleep(TIMEOUT_S + 1)
            self._answer(told.status_code, told.content, told.headers.get("Content-Type", "application/json"))

    def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client has given up

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass_on  # noqa: N815 (http.server's names)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def line_of(method: str, path: str) -> str:
    """Return what tells a kind of request from others: ``PUT /_plugins/_ml/models/{id}``."""
    parts = path.partition("?")[0].strip("/").split("/")
    return f"{method} /" + "/".join(part if part in KEPT or part.startswith("_") else "{id}" for part in parts)
