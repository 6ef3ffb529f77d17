"""The IAM role of one blueprint on one domain: what it is named, who may assume it, and what it may do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch_ml.base.arns import OPENSEARCH_SERVICE, Arn, DomainArn
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import Finding, InvalidBlueprint
from opensearch_ml.iam import permissions, policies

POLICY_PREFIX = "opensearch_ml-"
POLICY_NAME_LENGTH = 128  # IAM's limit


@dataclass(frozen=True, slots=True)
class IamRole:
    """A role as it should be.

    :param path: begins and ends with a slash; ``/`` unless the ARN says else.
    :param services: principals that may assume it for the domain.
    :param permissions: the policy document of this blueprint; its ``Statement`` is empty if the connector calls nothing
        that AWS has to allow, and then there is no policy to write.
    :param policy_name: of the inline policy that holds `permissions`.
    :param manage: False: it is compared and told, never written.
    :param boundary: ARN of the permissions boundary.
    """

    arn: str
    name: str
    path: str
    services: tuple[str, ...]
    domain: DomainArn
    permissions: Mapping[str, Any]
    policy_name: str
    manage: bool
    boundary: str | None
    description: str


def role_for(blueprint: Blueprint, domain: DomainArn) -> IamRole | None:
    """Return the role that a blueprint's connector has the domain assume; None if its connector names no role.

    :raises InvalidBlueprint: the domain cannot be passed that role, see `findings`.
    """
    written = blueprint.connector.credential.get("roleArn")
    if not isinstance(written, str):
        return None
    if wrong := findings(blueprint, domain):
        raise InvalidBlueprint(blueprint.name, wrong)
    path, _, name = Arn.parse(written).resource.removeprefix("role").rpartition("/")
    section = blueprint.iam_role
    needed = permissions.required(blueprint, domain.account_id, domain.partition)
    return IamRole(
        arn=written,
        name=name,
        path=f"{path}/",
        services=tuple(section.trusted_services if section else [OPENSEARCH_SERVICE]),
        domain=domain,
        permissions=policies.permission_policy(needed, section.statements if section else ()),
        policy_name=policy_name(blueprint.name, domain),
        manage=section is not None and section.manage,
        boundary=section.permissions_boundary if section else None,
        description=(section.description if section else None)
        or "Amazon OpenSearch Service assumes it to call remote models",
    )


def findings(blueprint: Blueprint, domain: DomainArn) -> list[Finding]:
    """Return what of a connector's role does not go with a domain."""
    written = blueprint.connector.credential.get("roleArn")
    if not isinstance(written, str):
        return []
    role, path = Arn.parse(written), "connector.credential.roleArn"
    own = f"arn:{domain.partition}:iam::{domain.account_id}:{role.resource}"
    if role.partition != domain.partition:
        problem = f"is a role of partition {role.partition}, and the domain is in {domain.partition}"
        return [Finding(path, problem, f"Write {own} (or ${{variables.partition}}).")]
    if role.account_id != domain.account_id:
        return [
            Finding(
                path,
                f"is a role of account {role.account_id}, and the domain {domain} can be passed only its own account's",
                f"Write {own} (or ${{variables.account_id}}); to use what another account owns, add "
                "connector.credential.externalAccountRoleArn, which roleArn's role then assumes.",
            )
        ]
    return []


def policy_name(blueprint_name: str, domain: DomainArn) -> str:
    """Return the name of a blueprint's inline policy for one domain; one that IAM finds too long has a hash in it.

    For one domain, because two that share a role may run the same blueprint: in two regions it calls two endpoints, and
    what one of them takes down the other still needs.
    """
    name, suffix = POLICY_PREFIX + blueprint_name, _suffix(domain)
    room = POLICY_NAME_LENGTH - len(suffix)
    if len(name) <= room:
        return name + suffix
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: room - len(digest) - 1]}-{digest}{suffix}"


def is_policy_for(name: str, domain: DomainArn) -> bool:
    """Tell whether an inline policy is one of ours, of whatever blueprint, for this domain."""
    return name.startswith(POLICY_PREFIX) and name.endswith(_suffix(domain))


def _suffix(domain: DomainArn) -> str:
    return f"@{domain.region}.{domain.name}"
