"""What other stand-ins ask the account: may this principal do that, and a session of a role for a service."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.opensearch.models import OpenSearchDomain, opensearch_backends
from moto.sagemaker.models import sagemaker_backends
from moto.sts.models import AssumedRole, sts_backends

from local.aws_account.policy_evaluation import ASSUME_ROLE, Asked, Context, Document, Principal, Verdict, evaluate
from local.aws_account.principals import Principals
from local.aws_account.roles import RoleHistory, every_iam
from local.aws_account.state import AccountState

_SERVICE_SESSION_S = 12 * 60 * 60  # a service renews its sessions unseen, so users never meet the end of one


class Refused(Exception):  # noqa: N818 AWS's word: the service works, the answer is no
    """AWS's refusal.

    :param status: HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Account:
    """moto's accounts (it has as many as are named), seen through propagation and settings."""

    def __init__(self) -> None:
        self.state = AccountState()
        self.roles = RoleHistory(self.state)
        self.principals = Principals(self.state, self.roles)

    def decide(self, principal: Principal, asked: Asked, resource_policy: Document | None = None) -> Verdict:
        """Whether a principal may do that.

        :param resource_policy: of the resource; a role's trust policy is known here.
        """
        if asked.action == ASSUME_ROLE and resource_policy is None:
            role = self.roles.role(asked.resource)
            resource_policy = json.loads(role.trust) if role else None
        return evaluate(principal, asked, resource_policy)

    def moto_role(self, role_arn: str) -> Any:
        """A role as moto has it; ``None`` if it is not there."""
        found = (role for backend in every_iam() for role in list(backend.get_roles()) if role.arn == role_arn)
        return next(found, None)

    def shorten(self, session: AssumedRole) -> None:
        """Let a new session end as early as the settings want it."""
        if (longest_s := self.state.longest_session_s) is not None:
            session.expiration = min(session.expiration, utcnow() + timedelta(seconds=longest_s))

    def assume_for_service(self, role_arn: str, service: str, context: Context, session_name: str) -> AssumedRole:
        """A session of a role for a service. That its customer may pass the role is for the service to ask first.

        :param service: host name, such as ``opensearchservice.amazonaws.com``.
        :param context: what the service tells of its customer: ``aws:SourceAccount``, ``aws:SourceArn``.
        :raises Refused: 404: there is no such role; 403: its trust policy does not let the service in.
        """
        if self.roles.role(role_arn) is None:
            raise Refused(404, f"The role with name {role_arn.rpartition('/')[2]} cannot be found.")
        if self.decide(Principal(service), Asked(ASSUME_ROLE, role_arn, context)).decision != "allowed":
            raise Refused(403, f"User: {service} is not authorized to perform: {ASSUME_ROLE} on resource: {role_arn}")
        partition, account_id = role_arn.split(":")[1], role_arn.split(":")[4]
        session = sts_backends[account_id][partition].assume_role(
            region_name=partition,
            role_session_name=session_name,
            role_arn=role_arn,
            policy="",
            duration=_SERVICE_SESSION_S,
            external_id="",
        )
        self.state.service_sessions.add(session.access_key_id)
        return session


def find_domain(region: str, name: str) -> OpenSearchDomain | None:
    """An OpenSearch Service domain of any account; it may be changed in place."""
    backends = [account[region] for account in list(opensearch_backends.values()) if region in list(account.keys())]
    return next((backend.domains[name] for backend in backends if name in backend.domains), None)


def has_sagemaker_endpoint(region: str, name: str) -> bool:
    """Whether any account has a SageMaker endpoint of that name; its case does not matter."""
    backends = [account[region] for account in list(sagemaker_backends.values()) if region in list(account.keys())]
    return any(name.lower() == one.lower() for backend in backends for one in list(backend.endpoints))
