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
from urllib.parse import parse_qsl, quote, urlencode

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from starlette.datastructures import Headers

from local.aws_key import AwsKey

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


class SignatureMismatch(SignatureError):  # noqa: N818 the service's word
    """The signature is another one than the request and the key give.

    :param canonical_request: the request as it should have been signed; ``None`` if it cannot have been signed at all.
    :param string_to_sign: what the key should have signed.
    """

    def __init__(self, canonical_request: str | None = None, string_to_sign: str = "") -> None:
        super().__init__("InvalidSignatureException", _MISMATCH)
        self.canonical_request, self.string_to_sign = canonical_request, string_to_sign


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


def verify(
    request: SignedRequest,
    service: str,
    find_key: Callable[[str], AwsKey | None],
    now: datetime,
    *,
    region: str | None = None,
) -> AwsKey:
    """Check a request's signature as the service would.

    :param service: name that the credential scope must hold, such as ``sagemaker``.
    :param find_key: gives the key for an access key id, or ``None`` for an unknown one.
    :param now: the server's time, with a time zone; signatures may be at most 5 minutes off.
    :param region: name that the credential scope must hold; any is accepted if ``None``.
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
    if region is not None and match["region"] != region:
        raise SignatureError(
            "InvalidSignatureException", f"Credential should be scoped to a valid Region, not '{match['region']}'. "
        )
    if match["service"] != service:
        raise SignatureError(
            "InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. "
        )
    timestamp = request.headers.get("x-amz-date", "")
    _check_date(timestamp, match["date"], now)
    if not hmac.compare_digest(request.headers.get("x-amz-security-token", ""), key.session_token or ""):
        raise SignatureError("UnrecognizedClientException", _INVALID_TOKEN)
    _check_signature(request, key, match, timestamp)
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


def _check_signature(request: SignedRequest, key: AwsKey, claimed: re.Match[str], timestamp: str) -> None:
    body_hash = hashlib.sha256(request.body).hexdigest()
    signed = claimed["signed"].split(";")
    if "host" not in signed or request.headers.get("x-amz-content-sha256", body_hash) != body_hash:
        raise SignatureMismatch
    credentials = Credentials(key.access_key_id, key.secret_access_key)
    signer = _Recomputation(credentials, claimed["service"], claimed["region"])
    signer.signed_by_client = HTTPHeaders()
    for name in signed:
        for value in request.headers.getlist(name):
            signer.signed_by_client[name] = value
    for query in _canonical_queries(request.query):
        recomputed = AWSRequest(
            method=request.method, url=f"http://{request.headers.get('host', '')}{request.path}?{query}"
        )
        # With the hash in place botocore takes it as it is, instead of preparing a whole request to get at the body.
        recomputed.headers["X-Amz-Content-SHA256"] = body_hash
        recomputed.context["timestamp"] = timestamp
        canonical_request = signer.canonical_request(recomputed)
        string_to_sign = signer.string_to_sign(recomputed, canonical_request)
        if hmac.compare_digest(signer.signature(string_to_sign, recomputed), claimed["signature"]):
            return
    raise SignatureMismatch(canonical_request, string_to_sign)


def _canonical_queries(query: str) -> list[str]:
    """The query as botocore signs it, as it was sent; and encoded anew, as the specification and requests-aws4auth do.

    They differ where a character was sent as it is that might have been encoded, such as ``*`` and ``,``.
    """
    encoded = urlencode(parse_qsl(query, keep_blank_values=True), safe="~", quote_via=quote)
    return list(dict.fromkeys((query, encoded)))


class _Recomputation(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore chooses the headers to sign; here the client has chosen them."""

    signed_by_client: HTTPHeaders

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return self.signed_by_client
