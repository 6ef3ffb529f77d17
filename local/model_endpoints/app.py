"""The application: every request is answered by its family, or by the behaviour asked for, and recorded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.model_endpoints.account import AccountError
from local.model_endpoints.aleph_alpha import ALEPH_ALPHA
from local.model_endpoints.api import ApiError, ApiFamily, Call, Handler
from local.model_endpoints.bearer import fingerprint as bearer_fingerprint_of
from local.model_endpoints.bedrock import BEDROCK
from local.model_endpoints.behaviour import Behaviour
from local.model_endpoints.cohere import COHERE
from local.model_endpoints.comprehend import COMPREHEND
from local.model_endpoints.control import ServerState, control_routes
from local.model_endpoints.google import GOOGLE
from local.model_endpoints.keys import AcceptedKeys
from local.model_endpoints.openai import OPENAI
from local.model_endpoints.recorder import RecordedRequest
from local.model_endpoints.sagemaker import SAGEMAKER
from local.model_endpoints.textract import TEXTRACT
from local.model_endpoints.yandex import YANDEX

FAMILIES = (OPENAI, COHERE, SAGEMAKER, BEDROCK, COMPREHEND, TEXTRACT, GOOGLE, ALEPH_ALPHA, YANDEX)
UNKNOWN_FAMILY = "unknown"

_log = logging.getLogger(__name__)

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_TRANSPORT = "local.transport"


def create_app(keys: AcceptedKeys) -> Starlette:
    """The ASGI application of all families and the control API; to be served with :class:`ClosableProtocol`."""
    state = ServerState(keys)
    routes = control_routes(state)
    for family in FAMILIES:
        for method, handlers in (("POST", family.routes), ("GET", family.reads)):
            for path, handler in handlers.items():
                routes.append(Route(path, _endpoint(state, family, handler), methods=[method]))
    routes.append(Route("/", _endpoint_by_target(state), methods=["POST"]))
    routes.append(Route("/{path:path}", _unknown_path(state), methods=_METHODS))
    return Starlette(routes=routes)


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's protocol that lets the application close a connection without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


class _ClosedConnection(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][_TRANSPORT]["transport"].close()
        while (await receive())["type"] != "http.disconnect":
            continue


_Endpoint = Callable[[Request], Awaitable[Response]]


def _endpoint(state: ServerState, family: ApiFamily, handler: Handler) -> _Endpoint:
    async def endpoint(request: Request) -> Response:
        arrived, started = time.time(), time.perf_counter()
        call = await _read(request)
        fingerprint = family.fingerprint(call.headers)
        behaviour = state.behaviours.take(family.name, fingerprint)
        status = principal = None
        try:
            response, principal = await _answer(state, family, handler, call, behaviour)
            status = None if isinstance(response, _ClosedConnection) else response.status_code
            return response
        finally:
            duration = time.perf_counter() - started
            state.recorder.add(
                RecordedRequest(arrived, call.path, call.method, family.name, fingerprint, status, duration, principal)
            )

    return endpoint


def _endpoint_by_target(state: ServerState) -> _Endpoint:
    by_target = {
        target: _endpoint(state, family, handler)
        for family in FAMILIES
        for target, handler in family.operations.items()
    }
    otherwise = _unknown_path(state)

    async def endpoint(request: Request) -> Response:
        return await by_target.get(request.headers.get("x-amz-target", ""), otherwise)(request)

    return endpoint


def _unknown_path(state: ServerState) -> _Endpoint:
    async def endpoint(request: Request) -> Response:
        call = await _read(request)
        fingerprint = bearer_fingerprint_of(call.headers)
        state.recorder.add(
            RecordedRequest(time.time(), call.path, call.method, UNKNOWN_FAMILY, fingerprint, 404, duration=0.0)
        )
        target = call.headers.get("x-amz-target")
        asked = f"{call.method} {call.path}" + (f" with the target {target}" if target else "")
        return JSONResponse({"message": f"no API here has {asked}"}, 404)

    return endpoint


async def _read(request: Request) -> Call:
    return Call(
        method=request.method,
        path=request.scope["raw_path"].decode("ascii"),
        query=request.scope["query_string"].decode("ascii"),
        headers=request.headers,
        body=await request.body(),
        parameters=request.path_params,
    )


async def _answer(
    state: ServerState, family: ApiFamily, handler: Handler, call: Call, behaviour: Behaviour
) -> tuple[Response, str | None]:
    """The answer, and the ARN of the caller if it is known."""
    if behaviour.delay_s:
        await asyncio.sleep(behaviour.delay_s)
    if behaviour.fault == "close":
        return _ClosedConnection(), None
    if behaviour.fault == "non_json":
        return Response("<html><body>The service is being upgraded.</body></html>", media_type="text/html"), None
    caller = None
    try:
        if behaviour.status is not None:
            raise family.fault(behaviour.status)
        caller = await family.authenticate(call, state.keys)
        call = replace(call, dimension=behaviour.dimension, caller=caller)
        await family.authorize(call)
        response = await handler(call)
    except ApiError as error:
        response = family.error_response(error)
    except AccountError as error:
        _log.warning("%s: %s", call.path, error)
        response = family.error_response(ApiError(500, str(error), "InternalFailure"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # The real services check every field's type; here a body of another shape simply does not fit the handler.
        _log.warning("%s does not fit %s", call.path, family.name, exc_info=True)
        response = family.error_response(ApiError(400, "The request body has a missing field, or one of a wrong type."))
    return response, caller.key.principal_arn if caller else None
