"""Bearer keys in the Authorization header, as OpenAI and Cohere take them."""

from __future__ import annotations

from starlette.datastructures import Headers

from local.model_endpoints.keys import NO_CREDENTIAL, bearer_fingerprint

_SCHEME = "bearer "


def bearer_key(headers: Headers) -> str:
    """The key, or an empty string if there is none. The scheme's name may be written in any case (RFC 9110)."""
    authorization = headers.get("authorization", "")
    return authorization[len(_SCHEME) :].strip() if authorization.lower().startswith(_SCHEME) else ""


def fingerprint(headers: Headers) -> str:
    key = bearer_key(headers)
    return bearer_fingerprint(key) if key else NO_CREDENTIAL
