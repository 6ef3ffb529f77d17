"""One role in IAM: what it has, each write to it, and the waiting until a write has effect.

IAM takes seconds until all of AWS goes by what was written, and says so nowhere: it is asked again until it does.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_result, stop_before_delay, wait_random_exponential

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.policy_evaluation import Decision, Document
from opensearch_ml.aws.refusals import refused_action
from opensearch_ml.base.arns import Arn, Principal, principal_of
from opensearch_ml.base.owner import OWNER
from opensearch_ml.errors import Conflict, InvalidConnection, NotFound, PermissionDenied
from opensearch_ml.iam import grants, policies, queries
from opensearch_ml.iam.role import IamRole

T = TypeVar("T")
log = logging.getLogger(__name__)

OWNER_TAG = {"Key": f"{OWNER}_owner", "Value": OWNER}
Policies = Mapping[str, Document]  # a role's: inline ones by name, attached ones by ARN

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 4.0


@dataclass(frozen=True, slots=True)
class Found:
    """A role as IAM has it.

    :param ours: it carries our tag: we have created it.
    :param boundary_arn: the managed policy that limits it, if there is one.
    """

    trust: Document
    ours: bool
    boundary_arn: str | None


class RoleInIam:
    """One role, and one caller who works on it; what the caller may not do is told with the statement that lets it.

    :param wait_s: how long all waiting for IAM may take together.
    :raises InvalidConnection: the caller is of another account, or partition, than the role.
    """

    def __init__(self, access: AwsAccess, role: IamRole, wait_s: float) -> None:
        self.role = role
        self._access = access
        self._until = time.monotonic() + wait_s
        self._caller = principal_of(access.caller())
        _require_same_account(self._caller, role, access.aws_conn_id)

    # ---- reads

    def look(self) -> Found | None:
        """Return the role, or None if there is none.

        :raises NotFound: the one of that name is another one: it has another path.
        """
        with self._telling():
            found = queries.find_role(self._access, self.role.name)
        if found is None:
            return None
        if found["Arn"] != self.role.arn:
            raise NotFound(
                f"the IAM role {self.role.name} is another one than the connector names",
                evidence=f"iam:GetRole {self.role.name} -> {found['Arn']}; roleArn is {self.role.arn}",
                fix="correct connector.credential.roleArn",
            )
        boundary_arn = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return Found(found["AssumeRolePolicyDocument"], OWNER_TAG in found.get("Tags", ()), boundary_arn)

    def own_policy(self) -> Document | None:
        """Return our inline policy for this blueprint, or None if there is none."""
        arguments = {"RoleName": self.role.name, "PolicyName": self.role.policy_name}
        try:
            with self._telling():
                return dict(self._access.call("iam", "get_role_policy", **arguments)["PolicyDocument"])
        except NotFound:
            return None

    def all_policies(self) -> dict[str, dict[str, Any]]:
        """Return all permission policies: an inline one by its name, an attached one by its ARN.

        :raises Conflict: one went while they were read.
        """
        with self._conflict_if_gone("its policies were read"), self._telling():
            return queries.policies_of_role(self._access, self.role.name)

    def boundary(self, arn: str) -> Document:
        """Return the document of a permissions boundary."""
        with self._telling(arn):
            version = self._access.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
            answer = self._access.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
        return dict(answer["PolicyVersion"]["Document"])

    def instance_profiles(self) -> list[str]:
        """Return the names of the instance profiles that hold the role."""
        with self._telling():
            found = self._access.pages(
                "iam", "list_instance_profiles_for_role", "InstanceProfiles", RoleName=self.role.name
            )
        return [profile["InstanceProfileName"] for profile in found]

    def simulate(self, action: str, resource: str, context: Mapping[str, str]) -> Decision | None:
        """Return what the role may do as IAM sees it at this moment; None while IAM does not know the role."""
        try:
            with self._telling():
                return queries.simulate(self._access, self.role.arn, action, resource, context)
        except NotFound:
            return None

    # ---- writes

    def create(self) -> None:
        """Create the role, trusted and tagged from its first moment on: a crash leaves none that nobody owns.

        :raises Conflict: another run was faster.
        """
        role = self.role
        trust = policies.trust_policy([role.domain], role.services)
        log.info("new role %s, its trust policy:\n%s", role.name, json.dumps(trust, indent=2))
        given = {"PermissionsBoundary": role.boundary, "Description": role.description}
        self._write(
            "create_role",
            Path=role.path,
            AssumeRolePolicyDocument=json.dumps(trust),
            Tags=[OWNER_TAG],
            **{name: value for name, value in given.items() if value},
        )

    def put_trust(self, document: Document) -> None:
        """Write the whole trust policy: IAM knows no addition to it, and no version of it."""
        self._change("update_assume_role_policy", PolicyDocument=json.dumps(document))

    def put_policy(self) -> None:
        """Write our inline policy for this blueprint."""
        document = json.dumps(self.role.permissions)
        self._change("put_role_policy", PolicyName=self.role.policy_name, PolicyDocument=document)

    def delete_policy(self) -> None:
        """Delete our inline policy for this blueprint."""
        self._change("delete_role_policy", PolicyName=self.role.policy_name)

    def delete(self) -> None:
        """Delete the role.

        :raises InUse: a policy or an instance profile is still there.
        """
        self._change("delete_role")

    # ---- waiting

    def until(self, look: Callable[[], T | None]) -> T | None:
        """Ask until there is an answer, with growing pauses; None if the time is up."""
        retrying = Retrying(
            retry=retry_if_result(lambda seen: seen is None),
            stop=stop_before_delay(self.left_s()),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            retry_error_callback=lambda _: None,
        )
        return retrying(look)

    def left_s(self) -> float:
        """Return how many seconds of waiting are left."""
        return max(0.0, self._until - time.monotonic())

    def _change(self, operation: str, **arguments: Any) -> None:
        """Write to a role that was there a moment ago.

        :raises Conflict: another run has deleted it since.
        """
        with self._conflict_if_gone("it was written"):
            self._write(operation, **arguments)

    def _write(self, operation: str, **arguments: Any) -> None:
        with self._telling():
            self._access.call("iam", operation, RoleName=self.role.name, **arguments)

    @contextmanager
    def _conflict_if_gone(self, meanwhile: str) -> Iterator[None]:
        try:
            yield
        except NotFound as gone:
            raise Conflict(
                f"role {self.role.name} changed while {meanwhile}", evidence=gone.evidence, fix="run again"
            ) from None

    @contextmanager
    def _telling(self, resource: str | None = None) -> Iterator[None]:
        # Complete a refusal by what mends it: IAM's own words often name the role without its ARN.
        try:
            yield
        except PermissionDenied as refusal:
            refused = refused_action(refusal.evidence)
            if refused is None or refused.explicit_deny or not refused.action.startswith("iam:"):
                raise
            arn = resource or self.role.arn
            raise PermissionDenied(
                f"{self._caller.arn} may not {refused.action} on {arn}",
                evidence=refusal.evidence,
                fix=grants.how_to_allow(self._caller, [grants.statement(refused.action, arn)]),
            ) from None


def _require_same_account(caller: Principal, role: IamRole, aws_conn_id: str) -> None:
    arn = Arn.parse(role.arn)
    if (arn.partition, arn.account_id) != (caller.partition, caller.account_id):
        raise InvalidConnection(
            f"connection {aws_conn_id} is of another AWS account than the role {role.arn}",
            evidence=f"sts:GetCallerIdentity -> {caller.arn}",
            fix=f"use an aws_conn_id of account {arn.account_id} (partition {arn.partition}), for instance one whose "
            "role_arn is in it, or correct connector.credential.roleArn",
        )
