"""What an AWS API call asks for, in the terms that IAM policies are written in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.utilities.utils import get_partition

_SAGEMAKER_RESOURCES = {"EndpointName": "endpoint", "EndpointConfigName": "endpoint-config", "ModelName": "model"}


@dataclass(frozen=True)
class ApiCall:
    """One call as its handler in moto has it.

    :param action: with the service's prefix: ``iam:GetRole``.
    :param path: of the URL, without the query.
    :param parameters: top-level ones only; those of lists as the query API spells them (``Tags.member.1.Key``).
    :param caller_arn: for the calls that are about the caller where they name no user.
    """

    action: str
    account_id: str
    region: str
    path: str
    parameters: Mapping[str, Any]
    caller_arn: str

    @property
    def _scope(self) -> tuple[str, str, str]:
        return get_partition(self.region), self.region, self.account_id

    def resource(self) -> str:
        """ARN of what the call is about; ``*`` where it is about none, or about one that is not known here."""
        service, _, name = self.action.partition(":")
        parameters, (partition, region, account_id) = self.parameters, self._scope
        if service == "sts":
            return str(parameters.get("RoleArn", "*"))
        if service == "iam":
            return self._iam_resource()
        if service == "es" and "/domain/" in self.path:
            return f"arn:{partition}:es:{region}:{account_id}:domain/{self.path.split('/domain/')[1].split('/')[0]}"
        if service == "es" and "DomainName" in parameters:
            return f"arn:{partition}:es:{region}:{account_id}:domain/{parameters['DomainName']}"
        if service == "sagemaker" and not name.startswith("List"):
            for field, kind in _SAGEMAKER_RESOURCES.items():
                if field in parameters:
                    return f"arn:{partition}:sagemaker:{region}:{account_id}:{kind}/{parameters[field].lower()}"
        if service == "secretsmanager" and (secret := parameters.get("SecretId") or parameters.get("Name")):
            found = secretsmanager_backends[account_id][region].secrets.get(secret)
            known = found.arn if found else f"arn:{partition}:secretsmanager:{region}:{account_id}:secret:{secret}"
            return str(known)
        return "*"

    def resource_words(self) -> str:
        """The resource as the service names it in a refusal: IAM says ``role NAME`` of what exists."""
        if self.action.startswith("iam:") and not self.action.startswith("iam:Create"):
            for field, word in (("RoleName", "role"), ("UserName", "user")):
                if field in self.parameters:
                    return f"{word} {self.parameters[field]}"
        return self.resource()

    def context(self) -> dict[str, str]:
        """The condition keys that the call itself shows."""
        parameters = self.parameters
        known = {
            "aws:RequestedRegion": self.region,
            "aws:SecureTransport": "true",  # AWS has no other; here it is plain HTTP on this machine
            "iam:PermissionsBoundary": parameters.get("PermissionsBoundary"),
            "iam:PolicyARN": parameters.get("PolicyArn"),
            "sts:ExternalId": parameters.get("ExternalId"),
            "sts:RoleSessionName": parameters.get("RoleSessionName"),
        }
        for field, value in parameters.items():
            if field.startswith("Tags.member.") and field.endswith(".Key"):
                known[f"aws:RequestTag/{value}"] = parameters.get(field.removesuffix("Key") + "Value")
        for tag in getattr(self._role(), "tags", []):
            for prefix in ("aws", "iam"):
                known[f"{prefix}:ResourceTag/{tag['Key']}"] = tag["Value"]
        return {key: str(value) for key, value in known.items() if value is not None}

    def _iam_resource(self) -> str:
        parameters, (partition, _, account_id) = self.parameters, self._scope
        if "PolicySourceArn" in parameters:
            return str(parameters["PolicySourceArn"])
        path = parameters.get("Path", "/")
        if "RoleName" in parameters:
            role = self._role()
            return str(role.arn) if role else f"arn:{partition}:iam::{account_id}:role{path}{parameters['RoleName']}"
        if "UserName" in parameters:
            user = iam_backends[account_id][partition].users.get(parameters["UserName"])
            return str(user.arn) if user else f"arn:{partition}:iam::{account_id}:user{path}{parameters['UserName']}"
        if "AccessKey" in self.action or self.action == "iam:GetUser":
            return self.caller_arn
        return str(parameters.get("PolicyArn", "*"))

    def _role(self) -> Any:
        if not self.action.startswith("iam:") or "RoleName" not in self.parameters:
            return None
        roles = list(iam_backends[self.account_id][self._scope[0]].get_roles())
        return next((role for role in roles if role.name == self.parameters["RoleName"]), None)


def parameters_of(data: Mapping[str, Any], body: bytes | str) -> dict[str, Any]:
    """The parameters of a call of the query API, or of one with a JSON body."""
    if "Action" in data:
        return {name: values[0] for name, values in data.items()}
    try:
        document = json.loads(body or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
