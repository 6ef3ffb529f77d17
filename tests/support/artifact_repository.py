"""A Maven repository on loopback that can misbehave."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class ArtifactRepository:
    """Serves `files` (path to content) and remembers what was asked for.

    `failures` holds, per path, what the next requests get instead: a status, or "cut" for half of the content.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = dict(files)
        self.requests: list[str] = []
        self.ranges: list[str | None] = []
        self.failures: dict[str, list[int | str]] = {}
        self.delay_s = 0.0
        repository = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                repository._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ArtifactRepository:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.lstrip("/")
        self.requests.append(path)
        self.ranges.append(request.headers.get("Range"))
        time.sleep(self.delay_s)
        failure = self.failures[path].pop(0) if self.failures.get(path) else None
        content = self.files.get(path)
        if isinstance(failure, int) or content is None:
            request.send_response(failure if isinstance(failure, int) else 404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        body = content[start:]
        request.wfile.write(body[: len(body) // 2] if failure == "cut" else body)
        request.close_connection = failure == "cut"
