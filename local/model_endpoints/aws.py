"""What SageMaker and Bedrock have in common: signed requests, and errors named in the header ``x-amzn-ErrorType``."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timezone

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from local.model_endpoints import sigv4
from local.model_endpoints.api import ApiError, Call
from local.model_endpoints.keys import NO_CREDENTIAL, AcceptedKeys, aws_id_fingerprint

# The name is what ML Commons retries on: its retries look at this header, not at the status.
_THROTTLED = ("ThrottlingException", "Too many requests, please wait before trying again.")
_REFUSED = ("UnrecognizedClientException", "The security token included in the request is invalid.")
_DENIED = ("AccessDeniedException", "The caller is not authorized to perform this action.")


def fingerprint(headers: Headers) -> str:
    key_id = sigv4.access_key_id(headers)
    return aws_id_fingerprint(key_id, headers.get("x-amz-security-token")) if key_id else NO_CREDENTIAL


def authenticate_as(service: str) -> Callable[[Call, AcceptedKeys], None]:
    """The check of a call's signature for one service.

    :param service: name in the credential scope: ``sagemaker`` or ``bedrock``.
    """

    def authenticate(call: Call, keys: AcceptedKeys) -> None:
        request = sigv4.SignedRequest(call.method, call.path, call.query, call.headers, call.body)
        try:
            sigv4.verify(request, service, keys.find_aws_key, datetime.now(timezone.utc))
        except sigv4.SignatureError as refused:
            raise ApiError(403, refused.message, refused.code) from None

    return authenticate


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
    """The shape of an error answer.

    :param validation_error: the exception's name for a request that is wrong in itself.
    :param namespace: what the service puts behind the exception's name.
    """

    def error_response(error: ApiError) -> Response:
        kind = f"{error.code or validation_error}:http://internal.amazon.com/coral/{namespace}/"
        headers = {"x-amzn-ErrorType": kind, "x-amzn-RequestId": str(uuid.uuid4())}
        return JSONResponse({"message": error.message}, error.status, headers)

    return error_response
