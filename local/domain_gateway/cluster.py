"""The real OpenSearch behind the gateway: requests go on as they came, answers come back as they are."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import httpx
from starlette.responses import HTMLResponse, Response

TIMEOUT_S = 120.0

# What concerns one connection only, and what the gateway itself sets.
_NOT_FORWARDED = {
    *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
    *("host", "content-length"),
}
# Who could send the first ones could be anyone, see `local.opensearch_config.security_config`.
_NOT_OF_CLIENTS = ("x-forwarded-", "x-proxy-", "x-amz-", "authorization", "forwarded")

_Headers = Sequence[tuple[bytes, bytes]]


class Cluster:
    """The cluster, over connections that are kept.

    :param url: scheme, host and port.
    :param ca_path: certificate, in PEM, to verify the cluster's with.
    """

    def __init__(self, url: str, ca_path: Path) -> None:
        self.url = url
        limits = httpx.Limits(max_connections=None)
        verify = ssl.create_default_context(cafile=ca_path)
        self._client = httpx.AsyncClient(verify=verify, limits=limits, trust_env=False)

    async def send(self, method: str, target: bytes, headers: _Headers, body: bytes) -> Response:
        """Send a request, and give back the answer, not decoded; 503 and 504 of the service if there is none.

        :param target: path and query exactly as they came.
        :param headers: the identity's, and those of the client that may pass, see :func:`passable`.
        """
        extensions = {"target": target, "timeout": httpx.Timeout(TIMEOUT_S).as_dict()}
        request = httpx.Request(method, self.url, headers=list(headers), content=body, extensions=extensions)
        try:
            async with aclosing(await self._client.send(request, stream=True)) as answer:
                content = b"".join([chunk async for chunk in answer.aiter_raw()])
        except httpx.TimeoutException:
            return _error_page(504, "504 Gateway Time-out", "The server didn't respond in time.")
        except httpx.TransportError:
            return _error_page(503, "503 Service Unavailable", "No server is available to handle this request.")
        length = answer.headers.get("content-length", "0").encode() if method == "HEAD" else b"%d" % len(content)
        response = Response(content, answer.status_code)
        response.raw_headers = [*passable(answer.headers.raw, ()), (b"content-length", length)]
        return response

    async def close(self) -> None:
        await self._client.aclose()


def passable(headers: _Headers, refused: tuple[str, ...] = _NOT_OF_CLIENTS) -> list[tuple[bytes, bytes]]:
    """The headers that go from one connection to the other.

    :param refused: what the names must not begin with, by default what only the gateway may say to the cluster.
    """
    named = [(name.decode("latin-1").lower(), name, value) for name, value in headers]
    return [
        (name.lower(), value)
        for lower, name, value in named
        if lower not in _NOT_FORWARDED and not (refused and lower.startswith(refused))
    ]


def _error_page(status: int, title: str, sentence: str) -> Response:
    return HTMLResponse(f"<html><body><h1>{title}</h1>\n{sentence}\n</body></html>\n", status)
