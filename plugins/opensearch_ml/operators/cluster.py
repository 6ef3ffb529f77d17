"""Operators for what all models of a cluster share: ML settings, trusted endpoints and role mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog import folders
from opensearch_ml.operators.base import (
    OpenSearchMLAdminOperator,
    OpenSearchMLBaseOperator,
    OpenSearchMLBlueprintOperator,
    fail_fast,
)
from opensearch_ml.steps.cluster_settings import (
    ensure_ml_settings,
    ensure_trusted_endpoints,
    remove_trusted_endpoints,
)
from opensearch_ml.steps.role_mapping import ensure_role_mapping, wanted_mappings

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = [
    "OpenSearchAddTrustedEndpointsOperator",
    "OpenSearchMapRoleOperator",
    "OpenSearchRemoveTrustedEndpointsOperator",
    "OpenSearchUpdateMLSettingsOperator",
]


class OpenSearchUpdateMLSettingsOperator(OpenSearchMLAdminOperator):
    """Set the ML switches of a cluster that differ from what is wanted; others stay.

    :param opensearch_admin_conn_id: who writes, if not the user of ``opensearch_conn_id`` (templated).
    :param settings: ``only_run_on_ml_node``, ``connector_access_control_enabled``, ``model_access_control_enabled``,
        ``private_ip_enabled``, each true or false. Default: those of the connection's target (templated; as one
        template, only in a DAG with ``render_template_as_native_obj``).
    """

    template_fields: Sequence[str] = ("settings", *OpenSearchMLAdminOperator.template_fields)

    def __init__(self, *, settings: Mapping[str, bool] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings

    @fail_fast
    def execute(self, context: Context) -> None:
        wanted = _target(self, settings=self.settings).settings
        self.tell(ensure_ml_settings(self.acting_hook, wanted.as_cluster_settings()))


class OpenSearchMapRoleOperator(OpenSearchMLAdminOperator):
    """Map backend roles and users to roles of the Security plugin; who is mapped already stays.

    On Amazon OpenSearch Service the role, or user, that signs for ``opensearch_conn_id`` is mapped to
    ``ml_full_access`` too, unless it may use ML Commons already.

    :param opensearch_admin_conn_id: who writes, if not the user of ``opensearch_conn_id``: on a domain the master user
        (templated).
    :param role_mapping: role to ``{"backend_roles": […], "users": […], "hosts": […]}``. Default: that of the
        connection's target (templated; as one template, only in a DAG with ``render_template_as_native_obj``).
    """

    template_fields: Sequence[str] = ("role_mapping", *OpenSearchMLAdminOperator.template_fields)

    def __init__(self, *, role_mapping: Mapping[str, Mapping[str, list[str]]] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role_mapping = role_mapping

    @fail_fast
    def execute(self, context: Context) -> None:
        wanted = wanted_mappings(self.hook, _target(self, role_mapping=self.role_mapping))
        for role, mapping in wanted.items():
            self.log.info("%s", ensure_role_mapping(self.acting_hook, role, mapping))
        asked = "the target asks for none" + (", and who signs may use ML Commons" if self.hook.signs else "")
        self.tell(f"mapped as wanted: {', '.join(wanted)}" if wanted else f"no role has to be mapped: {asked}")


class OpenSearchAddTrustedEndpointsOperator(OpenSearchMLAdminOperator, OpenSearchMLBlueprintOperator):
    """Let the cluster call a blueprint's URLs; others' entries and their order stay.

    :param blueprint: the blueprint's name (templated).
    :param opensearch_admin_conn_id: who writes, if not the user of ``opensearch_conn_id`` (templated).
    """

    template_fields: Sequence[str] = (
        "blueprint",
        *OpenSearchMLAdminOperator.template_fields,
    )

    @fail_fast
    def execute(self, context: Context) -> None:
        self.tell(ensure_trusted_endpoints(self.acting_hook, self.load().trusted))


class OpenSearchRemoveTrustedEndpointsOperator(OpenSearchMLAdminOperator, OpenSearchMLBlueprintOperator):
    """Remove the trusted endpoints that we added for a blueprint and that no connector on the cluster needs any more.

    :param blueprint: the blueprint's name (templated).
    :param opensearch_admin_conn_id: who writes, if not the user of ``opensearch_conn_id`` (templated).
    """

    template_fields: Sequence[str] = (
        "blueprint",
        *OpenSearchMLAdminOperator.template_fields,
    )

    @fail_fast
    def execute(self, context: Context) -> None:
        patterns = [pattern for pattern, _ in self.load().trusted]
        self.tell(remove_trusted_endpoints(self.acting_hook, patterns))


def _target(operator: OpenSearchMLBaseOperator, **given: Any) -> Target:
    """Return what an argument says, checked like a target's file; if it says nothing, the connection's target."""
    if None in given.values():
        return folders.catalog().target(operator.opensearch_conn_id)
    return Target.parse(operator.task_id, given, source=f"given to task {operator.task_id}")
