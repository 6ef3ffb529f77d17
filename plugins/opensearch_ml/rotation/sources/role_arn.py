"""A role that Amazon OpenSearch Service assumes by itself: there is nothing to rotate, so it is checked instead."""

from __future__ import annotations

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam.ensure_role import WAIT_S, role_on
from opensearch_ml.iam.role_check import compare
from opensearch_ml.iam.role_client import RoleInIam
from opensearch_ml.rotation.sources.connection import ConnectionSource


class RoleArnSource(ConnectionSource):
    """The role that ``connector.credential.roleArn`` names: another one there is a change like any other.

    :param access: of who may read the role.
    """

    name = "role_arn"

    def __init__(self, blueprint: Blueprint, hook: OpenSearchMLHook, access: AwsAccess) -> None:
        super().__init__(blueprint, hook, access.aws_conn_id)
        self._access = access

    def check(self) -> list[str]:
        """See that the role, its trust policy and its permissions are what the connector needs; writes nothing.

        :return: what was seen, one sentence each.
        :raises NotFound: there is no such role.
        :raises PermissionDenied: it cannot work as it is; says which statement is missing or in the way.
        :raises NotYetEffective: it should work, and IAM says that it does not.
        """
        role = role_on(self._hook, self._blueprint)
        if role is None:
            return []
        unknown = compare(RoleInIam(self._access, role, WAIT_S))
        return [f"role {role.arn} has nothing to rotate, and was checked: trust and permissions are right", *unknown]

    @property
    def _version(self) -> str:
        return str(self._blueprint.connector.credential.get("roleArn", ""))
