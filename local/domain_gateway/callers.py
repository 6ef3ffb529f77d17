"""Who sends a request, whether IAM lets them, and whom the cluster takes them for."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from local.domain_gateway.account import EXPIRED_TOKEN, DomainAccount
from local.domain_gateway.domain import Domain
from local.domain_gateway.refusals import anonymous, bad_signature, not_authorized
from local.model_endpoints.account import AccountKey
from local.sigv4 import SignatureError, SignedRequest, access_key_id, verify

SERVICE = "es"

_BASIC = "basic "
_SIGNATURE = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    :param name: ARN of the user or of the role's session; the name of a user in the cluster's internal database.
    :param key: what they signed with; ``None`` for an internal user, who has no IAM identity.
    :param headers: tell the cluster who it is.
    """

    name: str
    key: AccountKey | None
    headers: tuple[tuple[bytes, bytes], ...]


async def identify(request: SignedRequest, domain: Domain, account: DomainAccount, now: datetime) -> Caller:
    """Tell who sent a request.

    :param now: by the domain's clock.
    :raises Refused: nobody, or somebody whose signature is not right.
    """
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith(_BASIC):
        # Whether the password is right is for the cluster to say.
        return Caller(_internal_user(authorization), None, ((b"authorization", authorization.encode("latin-1")),))
    if not authorization.startswith(_SIGNATURE):
        raise anonymous(action_of(request.method))
    claimed = access_key_id(request.headers)
    key = await account.key(claimed) if claimed else None
    try:
        if key and key.expires_at is not None and key.expires_at <= time.time():  # STS's clock, not the domain's
            raise SignatureError("ExpiredTokenException", EXPIRED_TOKEN)
        verify(request, SERVICE, lambda _: key, now, region=domain.region)
    except SignatureError as error:
        raise bad_signature(error) from None
    assert key is not None  # noqa: S101 an unknown one does not verify
    return Caller(key.principal_arn, key, _proxy_headers(key))


async def permit(caller: Caller, request: SignedRequest, domain: Domain, account: DomainAccount) -> None:
    """Let a signed request through if IAM and the domain's access policies do.

    :raises Refused: they do not.
    :raises AwsRefusal: the caller's session has ended just now.
    """
    if caller.key is None:
        return
    action = action_of(request.method)
    policies = await account.access_policies(domain)
    resource = f"{domain}{unquote(request.path)}"
    answer = await account.may(caller.key.access_key_id, action, resource, resource_policy=policies)
    if not answer.allowed:
        # The service names the domain here, and not the path that was asked for.
        raise not_authorized(caller.name, action, answer.because, resource=str(domain))


def action_of(method: str) -> str:
    """The IAM action of an HTTP method, such as ``es:ESHttpGet``."""
    return f"es:ESHttp{method.capitalize()}"


def _proxy_headers(key: AccountKey) -> tuple[tuple[bytes, bytes], ...]:
    """A role's session is its role, as name and as backend role; a user is its ARN and has no backend role."""
    roles = ((b"x-proxy-roles", key.role_arn.encode()),) if key.role_arn else ()
    return ((b"x-forwarded-for", b"127.0.0.1"), (b"x-proxy-user", (key.role_arn or key.principal_arn).encode()), *roles)


def _internal_user(authorization: str) -> str:
    try:
        return base64.b64decode(authorization[len(_BASIC) :], validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
