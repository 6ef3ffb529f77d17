"""What can be known to go wrong before the first write."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from opensearch_ml.aws.access import DEFAULT_CONNECTION
from opensearch_ml.catalog import folders
from opensearch_ml.operators.base import OpenSearchMLAdminOperator, OpenSearchMLBlueprintOperator, fail_fast
from opensearch_ml.rotation.sources import check_source
from opensearch_ml.steps.preflight import preflight

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["OpenSearchPreflightOperator"]


class OpenSearchPreflightOperator(OpenSearchMLAdminOperator, OpenSearchMLBlueprintOperator):
    """Check blueprint, credential references, AWS and the cluster, and write nothing.

    :param blueprint: the blueprint's name (templated).
    :param opensearch_admin_conn_id: who maps roles and writes settings, if not the user of ``opensearch_conn_id``
        (templated).
    :param aws_conn_id: who makes the connector's IAM role (templated).
    :raises AirflowFailException: with everything that would go wrong, each with cause, evidence and fix. What may pass,
        such as a cluster that cannot be reached, is tried again.
    """

    template_fields: Sequence[str] = ("blueprint", "aws_conn_id", *OpenSearchMLAdminOperator.template_fields)
    ui_color = "#e8f0f2"

    def __init__(self, *, aws_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id

    @fail_fast
    def execute(self, context: Context) -> None:
        report = preflight(
            self.hook,
            self.acting_hook,
            self.load,
            folders.catalog().target(self.opensearch_conn_id),
            aws_conn_id=self.aws_conn_id,
            check_source=partial(check_source, hook=self.hook, aws_conn_id=self.aws_conn_id),
        )
        for seen in report.seen:
            self.log.info("%s", seen)
        report.conclude(self.blueprint)
        self.tell(f"nothing stands in the way of {self.blueprint}")
