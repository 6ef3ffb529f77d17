"""Links from a task to what it made: the object's own URL in the cluster's API, or its page in the AWS console."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from opensearch_ml.base.arns import Arn

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["OpenSearchConnectorLink", "OpenSearchIamRoleLink", "OpenSearchModelLink"]


# Source: https://docs.aws.amazon.com/general/latest/gr/rande.html, and the consoles themselves.
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


class _KeptLink(BaseOperatorLink):
    key: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the object's URL, or nothing while there is none."""
        return str(XCom.get_value(key=self.key, ti_key=ti_key) or "")


class _ObjectLink(_KeptLink):
    path: ClassVar[str]

    @classmethod
    def persist(cls, context: Context, base_url: str, object_id: str) -> None:
        """Keep the object's URL for the link; it holds no credentials."""
        context["ti"].xcom_push(key=cls.key, value=f"{base_url}{cls.path}/{object_id}")


class OpenSearchConnectorLink(_ObjectLink):
    """The connector in the cluster's API."""

    name = "Connector"
    key = "opensearch_ml_connector_link"
    path = "/_plugins/_ml/connectors"


class OpenSearchModelLink(_ObjectLink):
    """The model in the cluster's API."""

    name = "Model"
    key = "opensearch_ml_model_link"
    path = "/_plugins/_ml/models"


class OpenSearchIamRoleLink(_KeptLink):
    """The role in the AWS console."""

    name = "IAM role"
    key = "opensearch_ml_iam_role_link"

    @classmethod
    def persist(cls, context: Context, role_arn: str) -> None:
        """Keep the URL of the role's page for the link; partitions without a known console have none."""
        arn = Arn.parse(role_arn)
        if console := CONSOLES.get(arn.partition):
            name = quote(arn.resource.rpartition("/")[2], safe="")
            context["ti"].xcom_push(key=cls.key, value=f"https://{console}/iam/home#/roles/details/{name}")
