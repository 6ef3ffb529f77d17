"""Who applies a plan, and to which cluster."""

from __future__ import annotations

from dataclasses import dataclass

from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook


@dataclass(frozen=True)
class ApplyContext:
    """Who applies to which cluster.

    :param admin: who writes settings and role mappings, if not the user of `hook`.
    :param aws_conn_id: who asks AWS, as for `plan_for`.
    :param token: of the run; a retry has the same one, and goes on with what it began.
    """

    hook: OpenSearchMLHook
    catalog: Catalog
    target: Target
    admin: OpenSearchMLHook | None
    aws_conn_id: str | None
    token: str

    @property
    def acting(self) -> OpenSearchMLHook:
        """The hook of who writes what all models of the cluster share."""
        return self.admin or self.hook
