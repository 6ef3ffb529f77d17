"""A role that Amazon OpenSearch Service assumes by itself: there is nothing to rotate, so it is checked instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from opensearch_ml import fingerprint
from opensearch_ml.aws import AwsAccess
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.source import NextCredential
from opensearch_ml.steps.iam_role import WAIT_S, role_on
from opensearch_ml.steps.iam_role_check import compare
from opensearch_ml.steps.role_in_iam import RoleInIam


class RoleArnSource:
    """The role that ``connector.credential.roleArn`` names.

    :param access: of who may read the role.
    """

    name = "role_arn"

    def __init__(self, blueprint: Blueprint, hook: OpenSearchMLHook, access: AwsAccess) -> None:
        self._blueprint, self._hook, self._access = blueprint, hook, access
        self._literal = {key: value for key, value in blueprint.connector.credential.items() if isinstance(value, str)}

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

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        return []

    def serves(self, mark: str | None) -> bool:
        return fingerprint.matches(mark, self._literal)

    def next(self) -> NextCredential:
        """Return the role as the blueprint names it: another one is a change like any other."""
        return self._as_next(fingerprint.fingerprint(self._literal))

    def resume(self, mark: str) -> NextCredential | None:
        return self._as_next(mark) if self.serves(mark) else None

    def promote(self, new: NextCredential) -> None:
        """Nothing to do."""

    def abandon(self, new: NextCredential) -> None:
        """Nothing to do."""

    def retire(self, old: str | None) -> list[str]:
        return []

    def previous(self) -> Mapping[str, str] | None:
        """Return None: the role that served before is known to the cluster alone."""
        return None

    def due(self, mark: str | None) -> datetime | None:
        return None

    def _as_next(self, mark: str) -> NextCredential:
        return NextCredential(self._literal, mark, str(self._literal.get("roleArn", "")))
