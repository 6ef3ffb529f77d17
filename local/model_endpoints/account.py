"""The AWS account behind the endpoints, asked over HTTP: whose an access key is, what they may do, what exists there.

Nothing is cached: a key can be deleted, a session can expire and a policy can change between two requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import httpx

from local.aws_key import AwsKey

_TIMEOUT_S = 10.0


class AccountError(Exception):
    """The account could not be asked, or gave no answer that can be used."""


@dataclass(frozen=True)
class AccountKey(AwsKey):
    """A key of a user, or of a role's session, in the account.

    :param principal_arn: the user, or the assumed role's session.
    :param role_arn: the session's role, with its path; ``None`` for a user.
    :param expires_at: seconds since the epoch; ``None`` for a lasting key.
    """

    principal_arn: str = ""
    role_arn: str | None = None
    account_id: str = ""
    expires_at: float | None = None


class Account:
    """The account's questions, as the package ``local.aws_account`` answers them.

    :param url: scheme, host and port of the account's server.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # Never through a proxy that the environment may name: this is the same machine.
        self._client = httpx.AsyncClient(base_url=f"{self.url}/_account", timeout=_TIMEOUT_S, trust_env=False)

    async def key(self, access_key_id: str) -> AccountKey | None:
        """:raises AccountError: the account did not answer."""
        found = await self._ask("GET", f"/keys/{access_key_id}")
        if found is None:
            return None
        return AccountKey(**{field.name: found[field.name] for field in fields(AccountKey)})

    async def refusal(self, access_key_id: str, action: str, resource: str, context: Mapping[str, str]) -> str | None:
        """What AWS says to a caller that may not do something; ``None``: it may.

        :param resource: an ARN, or ``*`` for an action that knows no resources.
        :param context: the condition keys that the service adds.
        :raises AccountError: the account did not answer.
        """
        question = {"access_key_id": access_key_id, "action": action, "resource": resource, "context": dict(context)}
        answer = await self._ask("POST", "/authorize", json=question)
        if answer is None:
            raise AccountError(f"the account at {self.url} no longer knows the key")
        if answer["decision"] == "allowed":
            return None
        where = "" if resource == "*" else f" on resource: {resource}"
        return f"User: {answer['principal_arn']} is not authorized to perform: {action}{where} {answer['because']}"

    async def has_sagemaker_endpoint(self, region: str, name: str) -> bool:
        """:raises AccountError: the account did not answer."""
        return await self._ask("GET", f"/sagemaker-endpoints/{region}/{name}") is not None

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any] | None:
        try:
            answer = await self._client.request(method, path, **options)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            # The error names the URL, and never a body: that may hold a secret.
            raise AccountError(f"the account at {self.url} did not answer: {type(error).__name__}") from error
        return document
