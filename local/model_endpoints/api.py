"""What the API families have in common: the call as it arrived, an error, and what a family must provide."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.responses import Response

from local.model_endpoints.account import Account, AccountKey
from local.model_endpoints.keys import AcceptedKeys


class ApiError(Exception):
    """An error to be answered in the family's own shape.

    :param code: what the service calls it (OpenAI's ``code``, an AWS exception name); ``None`` where it has no name.
    """

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Caller:
    """Who signed a request with a key of the AWS account.

    :param region: the one that the signature is for.
    """

    key: AccountKey
    region: str
    account: Account

    def arn(self, service: str, resource: str, *, account_id: str | None = None) -> str:
        """The ARN of a resource in the caller's partition, region and account.

        :param account_id: of another account, or empty for what belongs to no account.
        """
        partition = self.key.principal_arn.split(":")[1]
        owner = self.key.account_id if account_id is None else account_id
        return f"arn:{partition}:{service}:{self.region}:{owner}:{resource}"


@dataclass(frozen=True)
class Call:
    """One request, read to its end.

    :param path: still percent-encoded, as it was signed.
    :param parameters: the parts of the path that the route names, decoded.
    :param dimension: what a behaviour makes every embedding's size, if one does.
    :param caller: who signed it; ``None`` with a Bearer key, and with an AWS key from the keys file.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    parameters: Mapping[str, str]
    dimension: int | None = None
    caller: Caller | None = None

    def json(self) -> Any:
        """:raises ApiError: the body is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ApiError(400, "We could not parse the JSON body of your request.") from None

    def json_object(self) -> dict[str, Any]:
        """:raises ApiError: the body is no JSON object."""
        document = self.json()
        if not isinstance(document, dict):
            raise ApiError(400, "We could not parse the JSON body of your request: it is not an object.")
        return document


Handler = Callable[[Call], Awaitable[Response]]


async def allow_everything(call: Call) -> None:
    """The authorization of the platforms where a key is all that one needs."""


@dataclass(frozen=True)
class ApiFamily:
    """One platform's API.

    :param fingerprint: of the credential that the headers carry, accepted or not.
    :param authenticate: raises :class:`ApiError` unless the call's credential is accepted; tells who it is if it can.
    :param fault: the error that the service gives with a status when it fails by itself.
    :param error_response: an error in the service's shape.
    :param routes: path, with ``{parameter}`` as Starlette has it, to its handler, for POST.
    :param reads: the same for GET.
    :param operations: value of the header ``x-amz-target`` to its handler, for the services that have one path, ``/``.
    :param authorize: raises :class:`ApiError` unless the caller may do what the call asks for.
    """

    name: str
    fingerprint: Callable[[Headers], str]
    authenticate: Callable[[Call, AcceptedKeys], Awaitable[Caller | None]]
    fault: Callable[[int], ApiError]
    error_response: Callable[[ApiError], Response]
    routes: Mapping[str, Handler] = field(default_factory=dict)
    reads: Mapping[str, Handler] = field(default_factory=dict)
    operations: Mapping[str, Handler] = field(default_factory=dict)
    authorize: Callable[[Call], Awaitable[None]] = allow_everything


def refuse_stream(request: Mapping[str, Any]) -> None:
    """:raises ApiError: the caller wants a stream; ML Commons does so only with a transport that is off by default."""
    if request.get("stream"):
        _refuse("this double answers whole responses only: leave out stream")


def required(request: Mapping[str, Any], field: str, message: str) -> Any:
    """:raises ApiError: 400 with the message, because the field is missing or empty."""
    if not request.get(field):
        _refuse(message)
    return request[field]


def _refuse(message: str) -> NoReturn:
    raise ApiError(400, message)
