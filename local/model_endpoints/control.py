"""The control API under ``/_control``, for tests and the demo. It asks for no key: the server is on 127.0.0.1 only.

PUT    /_control/behaviours            set one (fields: local.model_endpoints.behaviour.Behaviour)
GET    /_control/behaviours            those in force
DELETE /_control/behaviours            back to normal
POST   /_control/keys                  accept these as well (format: the keys file)
PUT    /_control/keys                  accept these and no others
GET    /_control/keys                  fingerprints of what is accepted
DELETE /_control/keys/{fingerprint}    refuse this one from now on
PUT    /_control/account               {"url": URL} asks the AWS account there about keys not known here; null: none
GET    /_control/account               which that is
GET    /_control/requests              the newest ones; ?since=SECONDS&family=&fingerprint=&limit=
GET    /_control/requests/counts       their number by credential fingerprint; ?since=SECONDS&family=
DELETE /_control/requests              forget them
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.model_endpoints.account import Account
from local.model_endpoints.behaviour import Behaviour, Behaviours
from local.model_endpoints.keys import AcceptedKeys
from local.model_endpoints.recorder import Recorder

DEFAULT_LIMIT = 1_000

_Answer = Callable[[Request], Awaitable[Any]]


@dataclass
class ServerState:
    """All that a running server knows."""

    keys: AcceptedKeys
    behaviours: Behaviours = field(default_factory=Behaviours)
    recorder: Recorder = field(default_factory=Recorder)


def control_routes(state: ServerState) -> list[Route]:
    async def set_behaviour(request: Request) -> Any:
        state.behaviours.set(Behaviour.from_json(await request.json()))
        return state.behaviours.to_json()

    async def get_behaviours(_: Request) -> Any:
        return state.behaviours.to_json()

    async def clear_behaviours(_: Request) -> Any:
        state.behaviours.clear()
        return []

    async def add_keys(request: Request) -> Any:
        state.keys.add(AcceptedKeys.from_json(await request.json()))
        return state.keys.fingerprints()

    async def replace_keys(request: Request) -> Any:
        state.keys.replace(AcceptedKeys.from_json(await request.json()))
        return state.keys.fingerprints()

    async def get_keys(_: Request) -> Any:
        return state.keys.fingerprints()

    async def remove_key(request: Request) -> Any:
        if not state.keys.remove(request.path_params["fingerprint"]):
            raise ValueError("no accepted key has this fingerprint")
        return state.keys.fingerprints()

    async def set_account(request: Request) -> Any:
        url = (await request.json()).get("url")
        if state.keys.account:
            await state.keys.account.close()
        state.keys.account = Account(url) if url else None
        return {"url": url}

    async def get_account(_: Request) -> Any:
        return {"url": state.keys.account.url if state.keys.account else None}

    async def get_requests(request: Request) -> Any:
        asked = request.query_params
        found = state.recorder.since(
            float(asked.get("since", 0)), family=asked.get("family"), fingerprint=asked.get("fingerprint")
        )
        newest = found[-int(asked.get("limit", DEFAULT_LIMIT)) :]
        return {
            "total": len(found),
            "dropped": state.recorder.dropped,
            "requests": [recorded._asdict() for recorded in newest],
        }

    async def count_requests(request: Request) -> Any:
        since = float(request.query_params.get("since", 0))
        return state.recorder.count_by_fingerprint(since, family=request.query_params.get("family"))

    async def clear_requests(_: Request) -> Any:
        state.recorder.clear()
        return {}

    return [
        _route("PUT", "/_control/behaviours", set_behaviour),
        _route("GET", "/_control/behaviours", get_behaviours),
        _route("DELETE", "/_control/behaviours", clear_behaviours),
        _route("POST", "/_control/keys", add_keys),
        _route("PUT", "/_control/keys", replace_keys),
        _route("GET", "/_control/keys", get_keys),
        _route("DELETE", "/_control/keys/{fingerprint}", remove_key),
        _route("PUT", "/_control/account", set_account),
        _route("GET", "/_control/account", get_account),
        _route("GET", "/_control/requests", get_requests),
        _route("GET", "/_control/requests/counts", count_requests),
        _route("DELETE", "/_control/requests", clear_requests),
    ]


def _route(method: str, path: str, answer: _Answer) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await answer(request))
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)

    return Route(path, endpoint, methods=[method])
