"""What Amazon's services have in common: signed requests, permissions, and errors with a name.

The services of the REST kind (SageMaker, Bedrock) name an error in the header ``x-amzn-ErrorType`` and refuse a caller
with status 403; those of the JSON 1.1 kind (Comprehend, Textract) name it in the body's ``__type``, and all that is the
caller's fault has status 400. Source: the protocols of https://smithy.io/2.0/aws/protocols/.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from local import sigv4
from local.model_endpoints.account import AccountKey
from local.model_endpoints.api import ApiError, Call, Caller
from local.model_endpoints.keys import NO_CREDENTIAL, AcceptedKeys, aws_id_fingerprint

REST_REFUSAL = 403
JSON_REFUSAL = 400

# The name is what ML Commons retries on: its retries look at this header, not at the status.
_THROTTLED = ("ThrottlingException", "Too many requests, please wait before trying again.")
_REFUSED = ("UnrecognizedClientException", "The security token included in the request is invalid.")
_DENIED = ("AccessDeniedException", "The caller is not authorized to perform this action.")
_EXPIRED = ("ExpiredTokenException", "The security token included in the request is expired")
_SIGNED_REGION = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")


@dataclass(frozen=True)
class Permission:
    """What a caller needs for a call.

    :param resource: an ARN, or ``*`` for an action that knows no resources.
    :param context: the condition keys that the service adds.
    """

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)


def fingerprint(headers: Headers) -> str:
    key_id = sigv4.access_key_id(headers)
    return aws_id_fingerprint(key_id, headers.get("x-amz-security-token")) if key_id else NO_CREDENTIAL


def authenticate_as(
    service: str, refusal: int = REST_REFUSAL
) -> Callable[[Call, AcceptedKeys], Awaitable[Caller | None]]:
    """The check of a call's signature for one service.

    :param service: name in the credential scope: ``sagemaker``, ``bedrock``, ``comprehend`` or ``textract``.
    :param refusal: the status that the service refuses with.
    """

    async def authenticate(call: Call, keys: AcceptedKeys) -> Caller | None:
        request = sigv4.SignedRequest(call.method, call.path, call.query, call.headers, call.body)
        now = datetime.now(timezone.utc)
        claimed = sigv4.access_key_id(call.headers)
        try:
            found = await keys.find_aws_key(claimed) if claimed else None
            key = sigv4.verify(request, service, lambda _: found, now)
        except sigv4.SignatureError as refused:
            raise ApiError(refusal, refused.message, refused.code) from None
        if not isinstance(key, AccountKey) or keys.account is None:
            return None
        if key.expires_at is not None and key.expires_at <= now.timestamp():
            code, message = _EXPIRED
            raise ApiError(refusal, message, code)
        [region] = _SIGNED_REGION.findall(call.headers["authorization"])
        return Caller(key, region, keys.account)

    return authenticate


def authorize_by(
    permissions: Callable[[Call, Caller], Iterable[Permission]], refusal: int = REST_REFUSAL
) -> Callable[[Call], Awaitable[None]]:
    """The check of what the account lets a caller do. Keys from the keys file may do everything.

    :param permissions: all that a call needs.
    :param refusal: the status that the service refuses with.
    """

    async def authorize(call: Call) -> None:
        if call.caller is None:
            return
        for needed in permissions(call, call.caller):
            key, account = call.caller.key, call.caller.account
            refused = await account.refusal(key.access_key_id, needed.action, needed.resource, needed.context)
            if refused:
                raise ApiError(refusal, refused, _DENIED[0])

    return authorize


def fault_named(names: dict[int, str]) -> Callable[[int], ApiError]:
    """The service's error for a status.

    :param names: its own exception names by status, as botocore's service model has them.
    """
    common = {401: _REFUSED, 403: _DENIED, 429: _THROTTLED}

    def fault(status: int) -> ApiError:
        code, message = common.get(status, ("InternalFailure", f"The request failed with status {status}."))
        return ApiError(status, message, names.get(status, code))

    return fault


def error_response_in(validation_error: str, namespace: str) -> Callable[[ApiError], Response]:
    """The shape of an error answer of the REST kind.

    :param validation_error: the exception's name for a request that is wrong in itself.
    :param namespace: what the service puts behind the exception's name.
    """

    def error_response(error: ApiError) -> Response:
        kind = f"{error.code or validation_error}:http://internal.amazon.com/coral/{namespace}/"
        headers = {"x-amzn-ErrorType": kind, "x-amzn-RequestId": str(uuid.uuid4())}
        return JSONResponse(_message(error), error.status, headers)

    return error_response


def json_error_response_in(validation_error: str) -> Callable[[ApiError], Response]:
    """The shape of an error answer of the JSON 1.1 kind.

    :param validation_error: the exception's name for a request that is wrong in itself.
    """

    def error_response(error: ApiError) -> Response:
        body = {"__type": error.code or validation_error, **_message(error)}
        return json_response(body, error.status)

    return error_response


def json_response(body: object, status: int = 200) -> Response:
    """An answer of the JSON 1.1 kind."""
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    return JSONResponse(body, status, headers, media_type="application/x-amz-json-1.1")


def _message(error: ApiError) -> dict[str, str]:
    # Refusals come from another layer of the services than their other errors, and spell the field with a capital.
    return {"Message" if error.code == _DENIED[0] else "message": error.message}
