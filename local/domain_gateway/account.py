"""The AWS account around the domain, asked over HTTP, see ``local.aws_account``; nothing is remembered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import ClientError

from local.domain_gateway.domain import Domain
from local.domain_gateway.refusals import not_authorized_words
from local.model_endpoints.account import Account, AccountError

EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105 a message
INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105 a message

_REFUSALS = (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)
_ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})


class AwsRefusal(Exception):  # noqa: N818 AWS refuses; nothing has failed here
    """AWS's own words for why not."""


@dataclass(frozen=True)
class Answer:
    """IAM's answer.

    :param principal: ARN of who was asked about.
    :param because: why not, as AWS ends its sentence; empty if allowed.
    """

    allowed: bool
    principal: str
    because: str


@dataclass(frozen=True)
class Session:
    """Keys of an assumed role."""

    role_arn: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


class DomainAccount(Account):
    """What a domain asks the account that it is in."""

    async def may(
        self,
        access_key_id: str,
        action: str,
        resource: str,
        *,
        context: Mapping[str, str] | None = None,
        resource_policy: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Whether the owner of a key is allowed an action, by their own policies and the resource's.

        :param context: the condition keys that the service adds.
        :raises AwsRefusal: the key has ended or gone.
        """
        question = {
            "access_key_id": access_key_id,
            "action": action,
            "resource": resource,
            "context": dict(context or {}),
            "resource_policy": resource_policy,
        }
        answer = await self._post("/authorize", question)
        if answer.status_code in _REFUSALS:
            raise AwsRefusal(EXPIRED_TOKEN if answer.status_code == httpx.codes.FORBIDDEN else INVALID_TOKEN)
        said = answer.raise_for_status().json()
        return Answer(said["decision"] == "allowed", said["principal_arn"], said["because"])

    async def access_policies(self, domain: Domain) -> Mapping[str, Any] | None:
        """The domain's access policies; ``None`` if it has none.

        :raises AccountError: the account did not answer.
        """
        found = await self._ask("GET", f"/domains/{domain.region}/{domain.name}")
        return found["access_policies"] if found else None

    async def assume_for(self, role_arn: str, service: str, domain: Domain) -> Session:
        """Assume a role as an AWS service does it on a domain's behalf.

        :param service: such as ``opensearchservice.amazonaws.com``.
        :raises AwsRefusal: the role does not let that service, or that domain, in.
        """
        context = {"aws:SourceAccount": domain.account_id, "aws:SourceArn": str(domain)}
        question = {"role_arn": role_arn, "service": service, "context": context, "session_name": domain.name}
        answer = await self._post("/assume", question)
        if answer.status_code in _REFUSALS:  # STS does not tell whether there is such a role
            raise AwsRefusal(f"User: {service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")
        issued = answer.raise_for_status().json()
        return Session(role_arn, issued["access_key_id"], issued["secret_access_key"], issued["session_token"])

    async def assume_from(self, session: Session, role_arn: str, domain: Domain) -> Session:
        """Assume another role with the keys of the first, as STS lets them.

        :raises AwsRefusal: the first role may not, or the other does not let it in.
        """
        answer = await self.may(session.access_key_id, "sts:AssumeRole", role_arn)
        if not answer.allowed:
            raise AwsRefusal(
                f"User: {answer.principal} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            )
        issued = await self._call(
            session, domain.region, "sts", "assume_role", RoleArn=role_arn, RoleSessionName=domain.name
        )
        keys = issued["Credentials"]
        return Session(role_arn, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    async def secret(self, session: Session, arn: str) -> dict[str, str]:
        """The keys and values of a secret that is a JSON object.

        :raises AwsRefusal: the session may not read it, it does not exist, or it is no such object.
        """
        action = "secretsmanager:GetSecretValue"
        answer = await self.may(session.access_key_id, action, arn)
        if not answer.allowed:
            raise AwsRefusal(not_authorized_words(answer.principal, action, answer.because, resource=arn))
        region = arn.split(":")[3]
        found = await self._call(session, region, "secretsmanager", "get_secret_value", SecretId=arn)
        try:
            entries = json.loads(found.get("SecretString", ""))
            return {name: str(value) for name, value in entries.items()}
        except (ValueError, AttributeError):
            raise AwsRefusal(f"The secret {arn} does not hold a JSON object of keys and values.") from None

    async def _post(self, path: str, question: Mapping[str, Any]) -> httpx.Response:
        try:
            return await self._client.post(path, json=question)
        except httpx.HTTPError as error:
            raise AccountError(f"the account at {self.url} did not answer: {type(error).__name__}") from error

    async def _call(self, session: Session, region: str, service: str, operation: str, **arguments: Any) -> Any:
        def call() -> Any:
            client = boto3.session.Session().client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=session.access_key_id,
                aws_secret_access_key=session.secret_access_key,
                aws_session_token=session.session_token,
                config=_ONE_ATTEMPT,
            )
            return getattr(client, operation)(**arguments)

        try:
            return await asyncio.to_thread(call)
        except ClientError as error:
            raise AwsRefusal(error.response["Error"]["Message"]) from error
