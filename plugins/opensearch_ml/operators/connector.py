"""Operators for standalone connectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensearch_ml import assets
from opensearch_ml.links import OpenSearchConnectorLink
from opensearch_ml.operators.base import OpenSearchMLCredentialOperator, fail_fast
from opensearch_ml.rotation.sources import withdraw
from opensearch_ml.steps.connector import delete_connectors, ensure_connector

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["OpenSearchCreateConnectorOperator", "OpenSearchDeleteConnectorOperator"]


class OpenSearchCreateConnectorOperator(OpenSearchMLCredentialOperator):
    """Create a blueprint's connector, unless it is there.

    :param blueprint: the blueprint's name (templated).
    :return: the connector's id; None for an internal connector, which is created with its model.
    """

    operator_extra_links = (OpenSearchConnectorLink(),)

    @fail_fast
    def execute(self, context: Context) -> str | None:
        blueprint = self.load()
        if blueprint.inline:
            self.tell(f"{blueprint.name} has an internal connector, which is created with the model")
            return None
        credential, supply = self.credential(blueprint), self.supply(blueprint)
        outcome = ensure_connector(self.hook, blueprint, credential, supply=supply)
        OpenSearchConnectorLink.persist(context, self.hook.base_url, outcome.id)
        assets.note(context, outcome)
        self.tell(outcome)
        return outcome.id


class OpenSearchDeleteConnectorOperator(OpenSearchMLCredentialOperator):
    """Delete the connectors that we made for a blueprint, but for those that a model still uses.

    Access keys that were made for them in IAM go with them.

    :param blueprint: the blueprint's name (templated).
    """

    @fail_fast
    def execute(self, context: Context) -> None:
        blueprint = self.load()
        self.tell(delete_connectors(self.hook, blueprint.name))
        for told in withdraw(blueprint, self.hook, self.aws_conn_id):
            self.tell(told)
