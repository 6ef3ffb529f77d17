"""Requests that botocore signs for the model endpoints, sent as they are or changed on the way."""

from __future__ import annotations

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"


def signed(url: str, body: str, *, service: str, credentials: tuple[str | None, ...], **headers: str) -> AWSRequest:
    """A signed request.

    :param credentials: access key id, secret and, for a temporary key, the session token.
    """
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json", **headers})
    SigV4Auth(Credentials(*credentials), service, REGION).add_auth(request)
    return request


def send(request: AWSRequest, **changed: str) -> httpx.Response:
    headers = {**dict(request.headers), **changed}
    return httpx.post(request.url, content=request.data, headers=headers, trust_env=False)


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and the exception's name, wherever the service writes it."""
    assert "secret" not in response.text
    kind = response.headers.get("x-amzn-ErrorType") or response.json()["__type"]
    return response.status_code, kind.split(":")[0]
