"""The AWS half of the preflight: who calls, which domain, which role, and what the caller may do."""

from __future__ import annotations

import json
import re

from opensearch_ml.aws import domain as domains
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.domain import Domain
from opensearch_ml.aws.policy_evaluation import Decision, decide
from opensearch_ml.aws.refusals import refused_action
from opensearch_ml.base.arns import OPENSEARCH_SERVICE, DomainArn, Principal, principal_of
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.credentials.resolver import TEMPORARY
from opensearch_ml.errors import Final, InvalidConnection, NotFound, OpenSearchMLError, PermissionDenied, RequestRefused
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam import grants, policies, queries
from opensearch_ml.iam.cli_commands import MAKING
from opensearch_ml.iam.ensure_role import role_on, what_lacks
from opensearch_ml.iam.role import IamRole
from opensearch_ml.steps.preflight_report import Report

ENDPOINT_PATH = re.compile(r"/endpoints/(?P<name>[^/?]+)/(?:async-)?invocations")


def check(report: Report, hook: OpenSearchMLHook, aws_conn_id: str, blueprint: Blueprint | None) -> bool:
    """Ask AWS about the way from Airflow to the domain and from the domain to the model.

    :param aws_conn_id: the AWS connection that makes the role; may be that of the hook.
    :return: whether it makes sense to ask the cluster; if not, the report says why.
    """
    if report.ask(lambda: hook.is_managed_service) is None:
        return False
    access, arn = hook.aws, hook.domain_arn
    caller = report.ask(lambda: _caller(access)) if access else None
    if access and caller is None:
        return False  # whatever else is asked would be refused alike
    role = report.ask(lambda: role_on(hook, blueprint)) if blueprint else None
    if blueprint and role:
        report.ask(lambda: _role(report, _access(hook, aws_conn_id, role.domain.region), role))
        report.ask(lambda: _sagemaker_endpoints(report, hook, aws_conn_id, blueprint))
    if access is None or caller is None:
        if role:
            report.problems.append(_nobody_to_pass_a_role(hook, role))
        return True
    report.seen.append(f"requests are signed as {caller}")
    principal = principal_of(caller)
    before = len(report.problems)
    found = _domain(report, hook, access, principal, arn) if arn else None
    if found:
        _may_reach(report, access, principal, found)
    # A domain that is not there, not reached or closed to the caller has nothing to say.
    answers = len(report.problems) == before
    if role:
        _ask_all(report, access, principal, [("iam:PassRole", role.arn, {grants.PASSED_TO: OPENSEARCH_SERVICE})])
    return answers


def _caller(access: AwsAccess) -> str:
    frozen = access.get_frozen_credentials()
    if frozen.access_key.startswith(TEMPORARY) and not frozen.token:
        raise InvalidConnection(
            f"connection {access.aws_conn_id} holds half a session: its key is a temporary one, and has no token",
            evidence=f"the access key begins with {TEMPORARY}; extra.aws_session_token is empty",
            fix=f"write aws_session_token into the extra of connection {access.aws_conn_id}, or use a role_arn",
        )
    return access.caller()


def _access(hook: OpenSearchMLHook, aws_conn_id: str, region_name: str) -> AwsAccess:
    if hook.aws and (hook.aws.aws_conn_id, hook.aws.region_name) == (aws_conn_id, region_name):
        return hook.aws
    return AwsAccess(aws_conn_id, region_name)


# ---- the domain


def _domain(
    report: Report, hook: OpenSearchMLHook, access: AwsAccess, caller: Principal, arn: DomainArn
) -> Domain | None:
    host = hook.get_connection(hook.opensearch_conn_id).host
    if caller.account_id != arn.account_id:
        report.seen.append(f"domain {arn.name} is of another account than the caller, who cannot describe it")
        if not host:
            report.problems.append(_no_endpoint(hook, caller, arn))
        return None
    found = report.ask(lambda: domains.describe(access, arn))
    if found is None:
        return None
    report.seen.append(str(found))
    for finding in domains.findings(found, host):
        if "fine-grained" in finding.problem:
            report.seen.append(f"{finding}")
            continue
        report.problems.append(
            InvalidConnection(
                f"connection {hook.opensearch_conn_id}: {finding.path} {finding.problem}",
                evidence=str(found),
                fix=finding.fix,
            )
        )
    report.ask(lambda: domains.check_reachable(found))
    return found


def _no_endpoint(hook: OpenSearchMLHook, caller: Principal, arn: DomainArn) -> InvalidConnection:
    return InvalidConnection(
        f"the endpoint of domain {arn.name} cannot be looked up from account {caller.account_id}",
        evidence=f"connection {hook.opensearch_conn_id} has no host, and {caller.arn} signs",
        fix=f"write the domain's endpoint into the field Host of connection {hook.opensearch_conn_id}",
    )


# ---- the role that the domain assumes


def _role(report: Report, admin: AwsAccess, role: IamRole) -> None:
    problem, lacking = None, None
    try:
        lacking = what_lacks(admin, role)
    except Final as error:
        problem = error
    if problem and not (role.manage and _is_about_reading(problem)):
        report.problems.append(problem)
    elif not role.manage:
        report.seen.append(f"role {role.arn} is there, and lets the domain assume it and call the model")
    elif lacking is None:
        if not problem:
            report.seen.append(f"role {role.arn} is not there yet; task iam_role makes it")
        told = len(report.problems)
        _ask_all(report, admin, principal_of(admin.caller()), [(action, role.arn, {}) for action in MAKING])
        if problem and len(report.problems) == told:
            report.problems.append(problem)  # nobody could be asked what else it is that the caller may not
    elif lacking:
        report.seen.append(f"role {role.arn} is there; task iam_role adds {' and '.join(lacking)}")
    else:
        report.seen.append(f"role {role.arn} is there, and lacks nothing")


def _is_about_reading(problem: OpenSearchMLError) -> bool:
    """Whether the caller may not even look at the role, so that nothing else that he may not was seen."""
    refused = refused_action(problem.evidence)
    return refused is not None and refused.action in MAKING


def _nobody_to_pass_a_role(hook: OpenSearchMLHook, role: IamRole) -> InvalidConnection:
    return InvalidConnection(
        f"connection {hook.opensearch_conn_id} logs in as an internal user, "
        "who has no IAM identity to pass a role with",
        evidence=f"the blueprint has roleArn {role.arn}; the connection has a login and no aws_conn_id",
        fix=f"remove the login of connection {hook.opensearch_conn_id}, and write "
        '{"aws_conn_id": "aws_default"} into its extra; '
        "keep the login in a connection of its own, for opensearch_admin_conn_id",
    )


# ---- what the caller may do


def _may_reach(report: Report, access: AwsAccess, principal: Principal, domain: Domain) -> None:
    # The domain's own policy has no part in a simulation.
    needed = [action for action in policies.DOMAIN_ACTIONS if not _let_in(domain, principal, action)]
    _ask_all(report, access, principal, [(action, f"{domain.arn}/*", {}) for action in needed])


def _ask_all(
    report: Report, access: AwsAccess, principal: Principal, needed: list[tuple[str, str, dict[str, str]]]
) -> None:
    decided: dict[tuple[str, str, Decision | None], list[str]] = {}
    for action, resource, context in needed:
        decision = queries.decision_for(access, principal, action, resource, context)
        decided.setdefault((resource, json.dumps(context), decision), []).append(action)
    for (resource, conditions, decision), actions in decided.items():
        who_what = f"{principal.arn} may {', '.join(actions)} on {resource}"
        if decision == "allowed":
            report.seen.append(who_what)
        elif decision is None:
            report.seen.append(f"whether {who_what} could not be checked: the caller may neither simulate nor read it")
        else:
            report.problems.append(_refused(access, principal, actions, resource, json.loads(conditions), decision))


def _refused(
    access: AwsAccess,
    principal: Principal,
    actions: list[str],
    resource: str,
    context: dict[str, str],
    decision: Decision,
) -> PermissionDenied:
    told = ", ".join(actions)
    why = queries.why_not(access, principal, actions[0], resource, context)
    if decision == "explicitDeny":
        fix = f"correct the statement with Effect Deny for {told}: allowing it elsewhere does not help"
    else:
        condition = {"StringEquals": context} if context else None
        fix = grants.how_to_allow(principal, [grants.statement(actions, resource, condition)])
    return PermissionDenied(
        f"{principal.arn} may not {told} on {resource}",
        evidence=f"its policies -> {decision}" + (f" ({why})" if why else ""),
        fix=fix,
    )


def _let_in(domain: Domain, principal: Principal, action: str) -> bool:
    """Whether the domain's access policy lets the caller in, whatever the caller's own policies say."""
    if domain.access_policy is None:
        return False
    names = {principal.arn, f"arn:{principal.partition}:iam::{principal.account_id}:root", principal.account_id}
    own_account = principal.account_id == domain.arn.account_id
    return own_account and decide([domain.access_policy], action, f"{domain.arn}/x", principals=names) == "allowed"


# ---- the model


def _sagemaker_endpoints(report: Report, hook: OpenSearchMLHook, aws_conn_id: str, blueprint: Blueprint) -> None:
    parameters = blueprint.connector.parameters
    if parameters.get("service_name") != "sagemaker" or "externalAccountRoleArn" in blueprint.connector.credential:
        return
    admin = _access(hook, aws_conn_id, str(parameters["region"]))
    for name in sorted({found["name"] for url in blueprint.connector.urls if (found := ENDPOINT_PATH.search(url))}):
        if "${" in name:
            continue
        try:
            told = admin.call("sagemaker", "describe_endpoint", EndpointName=name)
        except PermissionDenied as refusal:
            report.seen.append(f"endpoint {name} could not be checked: {refusal.evidence}")
        except (NotFound, RequestRefused) as error:
            report.problems.append(
                NotFound(
                    f"SageMaker has no endpoint {name} in {admin.region_name}",
                    evidence=error.evidence,
                    fix="correct the endpoint's name in the action's URL, or the region",
                )
            )
        else:
            report.seen.append(f"SageMaker endpoint {name} is {told['EndpointStatus']}")
