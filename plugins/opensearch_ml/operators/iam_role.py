"""Operators for the IAM role that a domain of Amazon OpenSearch Service assumes to call a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opensearch_ml.aws.access import DEFAULT_CONNECTION, AwsAccess
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.iam.ensure_role import WAIT_S, delete_iam_role, ensure_iam_role, role_on
from opensearch_ml.links import OpenSearchIamRoleLink
from opensearch_ml.operators.base import OpenSearchMLBlueprintOperator, fail_fast

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["OpenSearchCreateIamRoleOperator", "OpenSearchDeleteIamRoleOperator", "OpenSearchIamRoleOperator"]


class OpenSearchIamRoleOperator(OpenSearchMLBlueprintOperator):
    """Base of the operators that work on a connector's IAM role.

    :param blueprint: the blueprint's name (templated).
    :param aws_conn_id: connection of type ``aws`` of who may make roles; it need not be the one that signs the requests
        to the domain (templated).
    """

    template_fields: Sequence[str] = ("aws_conn_id", *OpenSearchMLBlueprintOperator.template_fields)
    ui_color = "#ffd9a8"

    def __init__(self, *, aws_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id

    @property
    def acts_by(self) -> str:
        return self.aws_conn_id

    def has_role(self, blueprint: Blueprint) -> bool:
        """Tell whether the blueprint names a role in as many words; if not, that is logged."""
        written = blueprint.connector.credential.get("roleArn")
        if written is None:
            self.tell(f"{blueprint.name} uses no IAM role")
        elif not isinstance(written, str):
            self.tell(f"{blueprint.name} takes its IAM role from {written}, which is a secret: it is not checked")
        return isinstance(written, str)


class OpenSearchCreateIamRoleOperator(OpenSearchIamRoleOperator):
    """Create or extend the IAM role that a connector's ``roleArn`` names, or only compare it; pass without one.

    :param blueprint: the blueprint's name (templated).
    :param wait_s: seconds to wait, in all, until AWS goes by what was written.
    :return: the role's ARN; None if the blueprint names none, or keeps it with its secrets.
    """

    operator_extra_links = (OpenSearchIamRoleLink(),)

    def __init__(self, *, wait_s: float = WAIT_S, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_s = wait_s

    @fail_fast
    def execute(self, context: Context) -> str | None:
        blueprint = self.load()
        if not self.has_role(blueprint) or (role := role_on(self.hook, blueprint)) is None:
            return None
        outcome = ensure_iam_role(AwsAccess(self.aws_conn_id), role, wait_s=self.wait_s)
        OpenSearchIamRoleLink.persist(context, role.arn)
        self.tell(outcome)
        return role.arn


class OpenSearchDeleteIamRoleOperator(OpenSearchIamRoleOperator):
    """Take back what we gave a connector's IAM role; the role itself goes if it is ours and nothing else is on it.

    :param blueprint: the blueprint's name (templated).
    """

    @fail_fast
    def execute(self, context: Context) -> None:
        blueprint = self.load()
        if not self.has_role(blueprint):
            return
        if self.hook.domain_arn is None:
            self.tell(f"connection {self.opensearch_conn_id} names no domain, so that no role was made for one")
        elif role := role_on(self.hook, blueprint):
            self.tell(delete_iam_role(AwsAccess(self.aws_conn_id), role))
