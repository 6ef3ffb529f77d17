"""What can be known to go wrong before the first write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opensearch_ml import versions
from opensearch_ml.errors import InvalidBlueprint, RequestRefused
from opensearch_ml.operators.base import OpenSearchMLBlueprintOperator, fail_fast

if TYPE_CHECKING:
    from airflow.sdk import Context


class OpenSearchPreflightOperator(OpenSearchMLBlueprintOperator):
    """Check the blueprint, its credential references and the cluster, and write nothing.

    :param blueprint: the blueprint's name (templated).
    :raises AirflowFailException: the first of: findings in the blueprint, unresolved references, a cluster that does
        not accept the login, has no ML Commons, or is too old for a field that the blueprint uses. One that cannot be
        reached is tried again.
    """

    ui_color = "#e8f0f2"

    @fail_fast
    def execute(self, context: Context) -> None:
        blueprint = self.load()
        self.credential(blueprint)
        plugin = self.hook.ml_plugin_version()
        if plugin is None:
            raise RequestRefused(
                f"the cluster of {self.opensearch_conn_id} has no ML Commons",
                evidence="GET /_cat/plugins names no opensearch-ml",
                fix="install the opensearch-ml plugin on the cluster's nodes, or use another connection",
            )
        if findings := versions.findings(blueprint, self.hook.version):
            raise InvalidBlueprint(blueprint.name, findings)
        self.tell(
            f"blueprint {blueprint.name} is valid, {len(blueprint.connector.references)} references resolve, "
            f"{self.hook.base_url} runs ML Commons {plugin}"
        )


class OpenSearchCheckIamRoleOperator(OpenSearchMLBlueprintOperator):
    """Check that the IAM role which a connector's ``roleArn`` names is there; pass through without one.

    :param blueprint: the blueprint's name (templated).
    :param aws_conn_id: Airflow connection for IAM (templated).
    :return: the role's ARN; None if the blueprint names none, or keeps it with its secrets.
    """

    template_fields: Sequence[str] = ("aws_conn_id", *OpenSearchMLBlueprintOperator.template_fields)
    ui_color = "#ffd9a8"

    def __init__(self, *, aws_conn_id: str = "aws_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id

    @fail_fast
    def execute(self, context: Context) -> str | None:
        blueprint = self.load()
        role_arn = blueprint.connector.credential.get("roleArn")
        if role_arn is None:
            self.tell(f"{blueprint.name} uses no IAM role")
            return None
        if not isinstance(role_arn, str):
            self.tell(f"{blueprint.name} takes its IAM role from {role_arn}, which is a secret: it is not checked")
            return None
        # Imported only where a role is named: boto3 would cost every parse of a DAG file a second.
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

        from opensearch_ml.steps.iam_role import check_iam_role

        hook = AwsBaseHook(aws_conn_id=self.aws_conn_id, client_type="iam")
        self.tell(check_iam_role(hook.get_conn, role_arn, aws_conn_id=self.aws_conn_id))
        return role_arn
