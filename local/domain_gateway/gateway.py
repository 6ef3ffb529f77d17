"""What happens to a request, from its signature to the cluster's answer, and the control API under ``/_gateway``.

PUT    /_gateway/clock      {"offset_s": SECONDS}: the domain's clock is that much ahead of this machine's
GET    /_gateway/requests   what was asked and answered, oldest first: time, method, path, status, principal
DELETE /_gateway/requests   forget them
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.domain_gateway.account import AwsRefusal, DomainAccount
from local.domain_gateway.callers import Caller, identify, permit
from local.domain_gateway.cluster import Cluster, passable
from local.domain_gateway.connectors import connector_with_role
from local.domain_gateway.domain import Domain
from local.domain_gateway.refusals import Refused
from local.domain_gateway.roles import credential_from_role
from local.model_endpoints.account import AccountError
from local.sigv4 import SignedRequest

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")  # those that IAM has an action for
CAPACITY = 100_000

_log = logging.getLogger(__name__)


class RecordedRequest(NamedTuple):
    """One request that was answered.

    :param time: arrival, in seconds since the epoch.
    :param path: with its percent-encoding, without the query.
    :param principal: ARN or internal user's name; ``None`` for who could not be told.
    """

    time: float
    method: str
    path: str
    status: int
    principal: str | None


class Gateway:
    """The gateway of one domain.

    :param cluster: the real OpenSearch.
    :param account: the AWS account.
    """

    def __init__(self, domain: Domain, cluster: Cluster, account: DomainAccount) -> None:
        self.domain, self.cluster, self.account = domain, cluster, account
        self.clock_offset_s = 0.0
        self.recorded: deque[RecordedRequest] = deque(maxlen=CAPACITY)

    async def answer(self, request: Request) -> Response:
        """Check a request as the service does, send it on, and record it."""
        arrived, caller = time.time(), None
        received = SignedRequest(
            method=request.method,
            path=request.scope["raw_path"].decode("latin-1"),
            query=request.scope["query_string"].decode("latin-1"),
            headers=request.headers,
            body=await request.body(),
        )
        try:
            now = datetime.now(timezone.utc) + timedelta(seconds=self.clock_offset_s)
            caller = await identify(received, self.domain, self.account, now)
            await permit(caller, received, self.domain, self.account)
            response = await self._send(received, caller)
        except Refused as refused:
            response = refused.response()
        except AwsRefusal as refusal:
            response = JSONResponse({"message": str(refusal)}, 403)
        except AccountError:
            _log.exception("the account did not answer")
            response = JSONResponse({"message": "Internal Failure"}, 500)
        principal = caller.name if caller else None
        self.recorded.append(RecordedRequest(arrived, received.method, received.path, response.status_code, principal))
        return response

    async def _send(self, received: SignedRequest, caller: Caller) -> Response:
        headers, body = passable(received.headers.raw), received.body
        encoding = received.headers.get("content-encoding", "")
        if found := connector_with_role(received.method, received.path, encoding, body):
            credential = await credential_from_role(found.credential, caller, self.domain, self.account)
            body = found.body_with(credential)
            headers = [(name, value) for name, value in headers if name != b"content-encoding"]
        target = f"{received.path}?{received.query}" if received.query else received.path
        return await self.cluster.send(received.method, target.encode("latin-1"), [*headers, *caller.headers], body)


def create_app(gateway: Gateway) -> Starlette:
    """The ASGI application: the domain, and its control API."""

    async def set_clock(request: Request) -> Response:
        gateway.clock_offset_s = float((await request.json())["offset_s"])
        return JSONResponse({"offset_s": gateway.clock_offset_s})

    async def get_requests(_: Request) -> Response:
        return JSONResponse([recorded._asdict() for recorded in gateway.recorded])

    async def forget_requests(_: Request) -> Response:
        gateway.recorded.clear()
        return JSONResponse({})

    @contextlib.asynccontextmanager
    async def close_at_the_end(_: Starlette) -> AsyncIterator[None]:
        yield
        await gateway.cluster.close()
        await gateway.account.close()

    routes = [
        Route("/_gateway/clock", set_clock, methods=["PUT"]),
        Route("/_gateway/requests", get_requests, methods=["GET"]),
        Route("/_gateway/requests", forget_requests, methods=["DELETE"]),
        Route("/{path:path}", gateway.answer, methods=list(METHODS)),
    ]
    return Starlette(routes=routes, lifespan=close_at_the_end)
