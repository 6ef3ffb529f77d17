"""Verification of AWS Signature Version 4, with botocore's own canonical request and signature.

The refusals carry the codes and words of the real services.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from starlette.datastructures import Headers

from local.model_endpoints.keys import AwsKey

MAX_SKEW = timedelta(minutes=5)

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key_id>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 a message
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class SignatureError(Exception):
    """The request is not signed as it should be.

    :param code: the service's exception name, such as ``InvalidSignatureException``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class SignedRequest:
    """A request as it arrived: the path still percent-encoded, the headers as sent."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


def access_key_id(headers: Headers) -> str | None:
    """The access key id that a request claims, without any check."""
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    return match["key_id"] if match else None


def verify(request: SignedRequest, service: str, find_key: Callable[[str], AwsKey | None], now: datetime) -> AwsKey:
    """Check a request's signature as the service would.

    :param service: name that the credential scope must hold, such as ``sagemaker``. Any region is accepted.
    :param find_key: gives the key for an access key id, or ``None`` for an unknown one.
    :param now: the server's time, with a time zone; signatures may be at most 5 minutes off.
    :return: the key that signed.
    :raises SignatureError: no signature, a malformed, outdated or wrong one, or an unknown key or session token.
    """
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = _AUTHORIZATION.fullmatch(authorization)
    if match is None:
        wanted = "'AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…'"
        raise SignatureError("IncompleteSignatureException", f"Authorization header requires {wanted}.")
    key = find_key(match["key_id"])
    if key is None:
        raise SignatureError("UnrecognizedClientException", _INVALID_TOKEN)
    if match["service"] != service:
        raise SignatureError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. "
        )
    timestamp = request.headers.get("x-amz-date", "")
    _check_date(timestamp, match["date"], now)
    if not hmac.compare_digest(request.headers.get("x-amz-security-token", ""), key.session_token or ""):
        raise SignatureError("UnrecognizedClientException", _INVALID_TOKEN)
    signature = _sign(request, key, match["region"], service, timestamp, match["signed"].split(";"))
    if not hmac.compare_digest(signature, match["signature"]):
        raise SignatureError("InvalidSignatureException", _MISMATCH)
    return key


def _check_date(timestamp: str, scope_date: str, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=timezone.utc)
    except ValueError:
        raise SignatureError(
            "IncompleteSignatureException", "Authorization header requires existence of a valid 'X-Amz-Date' header."
        ) from None
    if not timestamp.startswith(scope_date):
        raise SignatureError(
            "InvalidSignatureException", f"Date in Credential scope does not match YYYYMMDD from '{timestamp}'."
        )
    server_time = now.strftime(SIGV4_TIMESTAMP)
    if signed_at < now - MAX_SKEW:
        limit = (now - MAX_SKEW).strftime(SIGV4_TIMESTAMP)
        raise SignatureError(
            "InvalidSignatureException",
            f"Signature expired: {timestamp} is now earlier than {limit} ({server_time} - 5 min.)",
        )
    if signed_at > now + MAX_SKEW:
        limit = (now + MAX_SKEW).strftime(SIGV4_TIMESTAMP)
        raise SignatureError(
            "InvalidSignatureException",
            f"Signature not yet current: {timestamp} is still later than {limit} ({server_time} + 5 min.)",
        )


def _sign(request: SignedRequest, key: AwsKey, region: str, service: str, timestamp: str, signed: list[str]) -> str:
    body_hash = hashlib.sha256(request.body).hexdigest()
    if "host" not in signed or request.headers.get("x-amz-content-sha256", body_hash) != body_hash:
        raise SignatureError("InvalidSignatureException", _MISMATCH)
    url = f"http://{request.headers.get('host', '')}{request.path}?{request.query}"
    recomputed = AWSRequest(method=request.method, url=url)
    # With the hash in place botocore takes it as it is, instead of preparing a whole request to get at the body.
    recomputed.headers["X-Amz-Content-SHA256"] = body_hash
    recomputed.context["timestamp"] = timestamp
    signer = _Recomputation(Credentials(key.access_key_id, key.secret_access_key), service, region)
    signer.signed_by_client = HTTPHeaders()
    for name in signed:
        for value in request.headers.getlist(name):
            signer.signed_by_client[name] = value
    signature: str = signer.signature(
        signer.string_to_sign(recomputed, signer.canonical_request(recomputed)), recomputed
    )
    return signature


class _Recomputation(SigV4Auth):
    """botocore chooses the headers to sign; here the client has chosen them."""

    signed_by_client: HTTPHeaders

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return self.signed_by_client
