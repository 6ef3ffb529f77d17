"""Preflight: everything that can be known to go wrong, in one report, before the first write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.blueprint.registration import ModelGroup
from opensearch_ml.blueprint.target import Target
from opensearch_ml.checks import versions
from opensearch_ml.client.documents import CallerDoc
from opensearch_ml.credentials import resolver
from opensearch_ml.errors import (
    Finding,
    InvalidBlueprint,
    OpenSearchMLError,
    PermissionDenied,
    RequestRefused,
)
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.steps import preflight_aws
from opensearch_ml.steps.explain import ADMINISTRATOR, explain, how_to_map
from opensearch_ml.steps.model import made_from, under_another_name
from opensearch_ml.steps.preflight_report import Report
from opensearch_ml.steps.role_mapping import ML_ROLE, wanted_mappings

T = TypeVar("T")

PREFIX = "plugins.ml_commons."
ELIGIBLE_ROLES = f"{PREFIX}task_dispatcher.eligible_node_role.remote_model"
ACCESS_SWITCHES = {"connector": "connector_access_control_enabled", "model.group": "model_access_control_enabled"}
ACCESS_FIELDS = ("access_mode", "backend_roles", "add_all_backend_roles")


def preflight(
    hook: OpenSearchMLHook,
    admin_hook: OpenSearchMLHook,
    load: Callable[[], Blueprint],
    target: Target,
    *,
    aws_conn_id: str,
    check_source: Callable[[Blueprint], str | None],
) -> Report:
    """Ask whatever can be asked of the blueprint, its credential, AWS and the cluster; nothing is written.

    :param admin_hook: of the connection that writes settings and role mappings; may be the same.
    :param load: reads and checks the blueprint.
    :param aws_conn_id: of the AWS connection that makes the connector's role.
    :param check_source: checks the source that gives the first credential (`rotation.sources.check_source`).
    """
    report = Report()
    blueprint = report.ask(load)
    if blueprint and report.ask(lambda: resolver.resolve(blueprint, hook, aws_conn_id=aws_conn_id)) is not None:
        count = len(blueprint.connector.references)
        report.seen.append(
            f"blueprint {blueprint.name} is valid" + (f", its {count} references resolve" if count else "")
        )
    if blueprint and (seen := report.ask(lambda: check_source(blueprint))):
        report.seen.append(seen)
    if preflight_aws.check(report, hook, aws_conn_id, blueprint):
        _cluster(report, hook, admin_hook, blueprint, target)
    return report


def _cluster(
    report: Report, hook: OpenSearchMLHook, admin_hook: OpenSearchMLHook, blueprint: Blueprint | None, target: Target
) -> None:
    # By the administrator: who calls may still have to be mapped, and until then sees nothing.
    before = len(report.problems)
    plugin = report.ask(lambda: _explained(admin_hook, admin_hook.ml_plugin_version))
    if len(report.problems) > before:
        return  # whatever else is asked would be refused alike
    if plugin is None:
        report.problems.append(
            RequestRefused(
                f"the cluster of {hook.opensearch_conn_id} has no ML Commons",
                evidence="GET /_cat/plugins names no opensearch-ml",
                fix="install the opensearch-ml plugin on the cluster's nodes, or use another connection",
            )
        )
        return
    report.seen.append(f"{hook.base_url} runs ML Commons {plugin}")
    settings = report.ask(admin_hook.cluster_settings) or {}
    if blueprint:
        findings = list(versions.findings(blueprint, admin_hook.version))
        findings += report.ask(lambda: list(_access_control(blueprint, hook, settings, target))) or ()
        if findings:
            report.problems.append(InvalidBlueprint(blueprint.name, findings))
        report.ask(lambda: _no_other_name(admin_hook, blueprint))
    report.ask(lambda: _require_eligible_node(admin_hook, settings))
    report.ask(lambda: _role_mapping(report, hook, admin_hook, target))


def _explained(hook: OpenSearchMLHook, question: Callable[[], T]) -> T:
    try:
        return question()
    except OpenSearchMLError as error:
        raise explain(error, hook) from None


def _no_other_name(hook: OpenSearchMLHook, blueprint: Blueprint) -> None:
    """A second model would be made beside one that was renamed, which then keeps its old credential for good."""
    try:
        standing = made_from(hook, blueprint.name)
    except PermissionDenied:
        return  # who is mapped to no role is told by `_role_mapping`
    if standing and all(model.get("name") != blueprint.model_name for model in standing):
        raise under_another_name(blueprint, standing)


def _require_eligible_node(hook: OpenSearchMLHook, settings: dict[str, object]) -> None:
    """Without a node of such a role, a model registers and never deploys."""
    given = settings.get(ELIGIBLE_ROLES) or ["data", "ml"]
    eligible = given.split(",") if isinstance(given, str) else list(given)  # type: ignore[call-overload]
    roles = hook.node_roles()
    if any(role.strip() in have for have in roles for role in eligible):
        return
    raise RequestRefused(
        "the cluster has no node that may run a remote model",
        evidence=f"{ELIGIBLE_ROLES} is {eligible}; the nodes have {sorted({role for have in roles for role in have})}",
        fix="add a node with one of these roles, or set task_dispatcher.eligible_node_role.remote_model to a role that "
        "the nodes have",
    )


def _access_control(
    blueprint: Blueprint, hook: OpenSearchMLHook, settings: dict[str, object], target: Target
) -> Iterator[Finding]:
    """Access fields, by what the cluster takes from this caller once it has the target's settings."""
    for path, scope in (("connector", blueprint.connector), ("model.group", blueprint.model.group)):
        written = [field for field in ACCESS_FIELDS if getattr(scope, field, None) not in (None, [])]
        if scope is None or not written:
            continue
        switch = ACCESS_SWITCHES[path]
        wanted = getattr(target.settings, switch)
        if wanted is False or (wanted is None and str(settings.get(PREFIX + switch)).lower() != "true"):
            yield Finding(
                f"{path}.{written[0]}",
                f"access control is off on the cluster, which then takes none of {', '.join(written)}",
                f"Set settings.{switch}: true in the target, or remove them.",
            )
        else:
            yield from _sharing(path, scope, hook.authinfo())


def _sharing(path: str, scope: Connector | ModelGroup, caller: CallerDoc) -> Iterator[Finding]:
    """An administrator may share with any role, and nobody else with one that he lacks."""
    is_administrator = "all_access" in caller["roles"]
    lacking = sorted(set(scope.backend_roles or ()) - set(caller["backend_roles"]))
    if lacking and not is_administrator:
        yield Finding(
            f"{path}.backend_roles",
            f"{caller['user_name']} lacks {', '.join(lacking)}, and the cluster shares only with roles one has",
            "Name backend roles of the connection's user.",
        )
    if scope.add_all_backend_roles and (is_administrator or not caller["backend_roles"]):
        who = "is an administrator" if is_administrator else "has no backend roles"
        yield Finding(
            f"{path}.add_all_backend_roles",
            f"{caller['user_name']} {who}, from whom the cluster does not take it",
            "Name backend_roles instead." if is_administrator else "Use access_mode: public or private.",
        )


def _role_mapping(report: Report, hook: OpenSearchMLHook, admin_hook: OpenSearchMLHook, target: Target) -> None:
    """Whether who is to be mapped can be mapped."""
    wanted = report.ask(lambda: _explained(hook, lambda: wanted_mappings(hook, target)))
    if not wanted:
        return
    try:
        for role in wanted:
            admin_hook.role_mapping(role)
    except PermissionDenied as refusal:
        report.problems.append(
            PermissionDenied(
                f"{admin_hook.opensearch_conn_id} may not map anybody to {', '.join(wanted)}",
                evidence=refusal.evidence,
                fix=how_to_map(hook.authinfo())
                if ML_ROLE in wanted
                else f"set opensearch_admin_conn_id to a connection of {ADMINISTRATOR}",
            )
        )
    else:
        roles = ", ".join(wanted)
        report.seen.append(
            f"task role_mapping sees to the mapping of {roles}, which {admin_hook.opensearch_conn_id} may write"
        )
