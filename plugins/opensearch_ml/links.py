"""Links from a task to what it made: the object's own URL in the cluster's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey


class _ObjectLink(BaseOperatorLink):
    key: ClassVar[str]
    path: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the object's URL, or nothing while there is none."""
        return str(XCom.get_value(key=self.key, ti_key=ti_key) or "")

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
