"""The AWS half of the preflight: who calls, which domain, which role, and what the caller may do."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from opensearch_ml import domain as domains
from opensearch_ml import grants, policies
from opensearch_ml.arns import DomainArn, Principal, principal_of
from opensearch_ml.aws import AwsAccess
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.domain import Domain
from opensearch_ml.errors import InvalidConnection, NotFound, PermissionDenied, RequestRefused
from opensearch_ml.iam_role import IamRole, role_for
from opensearch_ml.policy_evaluation import Decision, decide
from opensearch_ml.steps import iam_questions
from opensearch_ml.steps.explain import SERVICE
from opensearch_ml.steps.iam_role import role_problem

if TYPE_CHECKING:
    from opensearch_ml.hook import OpenSearchMLHook
    from opensearch_ml.steps.preflight import Report

ENDPOINT_PATH = re.compile(r"/endpoints/(?P<name>[^/?]+)/(?:async-)?invocations")


def check(report: Report, hook: OpenSearchMLHook, aws_conn_id: str, blueprint: Blueprint | None) -> bool:
    """Ask AWS about the way from Airflow to the domain and from the domain to the model.

    :param aws_conn_id: the AWS connection that makes the role; may be that of the hook.
    :return: whether it makes sense to ask the cluster; if not, the report says why.
    """
    managed = report.ask(lambda: hook.is_managed_service)
    if managed is None:
        return False
    role_arn = blueprint.connector.credential.get("roleArn") if blueprint else None
    if not managed:
        if role_arn:
            report.problems.append(_role_without_the_service(hook, str(role_arn)))
        return True
    access, arn = hook.aws, hook.domain_arn
    if blueprint and isinstance(role_arn, str):
        if arn is None:
            report.problems.append(_role_without_a_domain(hook))
        else:
            _role(report, _access(hook, aws_conn_id, arn.region), blueprint, arn)
            _sagemaker_endpoints(report, hook, aws_conn_id, blueprint)
    if access is None:
        return True
    caller = report.ask(lambda: _caller(access))
    if caller is None:
        return False
    report.seen.append(f"requests are signed as {caller}")
    principal = principal_of(caller)
    found = None
    if arn and principal.account_id != arn.account_id:
        report.seen.append(f"domain {arn.name} is of another account than the caller, who may not describe it")
    elif arn:
        found = report.ask(lambda: domains.describe(access, arn))
        if found is None:
            return False
        _domain(report, hook, found)
        before = len(report.problems)
        report.ask(lambda: domains.check_reachable(found))
        if len(report.problems) > before:
            return False
    _caller_may(report, access, principal, found, role_arn if isinstance(role_arn, str) else None)
    return True


def _caller(access: AwsAccess) -> str:
    frozen = access.get_frozen_credentials()
    if frozen.access_key.startswith("ASIA") and not frozen.token:
        raise InvalidConnection(
            f"connection {access.aws_conn_id} holds half a session: its key is a temporary one, and has no token",
            evidence="the access key begins with ASIA; extra.aws_session_token is empty",
            fix=f"write aws_session_token into the extra of connection {access.aws_conn_id}, or use a role_arn",
        )
    return access.caller()


def _access(hook: OpenSearchMLHook, aws_conn_id: str, region_name: str) -> AwsAccess:
    if hook.aws and (hook.aws.aws_conn_id, hook.aws.region_name) == (aws_conn_id, region_name):
        return hook.aws
    return AwsAccess(aws_conn_id, region_name)


def _role_without_the_service(hook: OpenSearchMLHook, role_arn: str) -> RequestRefused:
    return RequestRefused(
        "roleArn works on Amazon OpenSearch Service alone, and this cluster is self-managed",
        evidence=f"roleArn is {role_arn}; connection {hook.opensearch_conn_id} has neither domain_arn nor aws_conn_id",
        fix="give the connector keys instead: access_key, secret_key and, for STS credentials, session_token, each a "
        "reference like {conn_id: aws_default, field: login}; if it is a domain, write its domain_arn into the "
        "connection's extra",
    )


def _role_without_a_domain(hook: OpenSearchMLHook) -> InvalidConnection:
    return InvalidConnection(
        f"connection {hook.opensearch_conn_id} does not say which domain it is for",
        evidence="the blueprint has a roleArn, whose trust policy names the domain; the extra has no domain_arn",
        fix=f'edit connection {hook.opensearch_conn_id}: "domain_arn": "arn:aws:es:REGION:ACCOUNT:domain/NAME"',
    )


# ---- the domain


def _domain(report: Report, hook: OpenSearchMLHook, found: Domain) -> None:
    report.seen.append(str(found))
    host = hook.get_connection(hook.opensearch_conn_id).host
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


# ---- the role that the domain assumes


def _role(report: Report, admin: AwsAccess, blueprint: Blueprint, arn: DomainArn) -> None:
    role = report.ask(lambda: role_for(blueprint, arn))
    if role is None:
        return
    try:
        found = iam_questions.find_role(admin, role.name)
    except PermissionDenied as refusal:
        report.seen.append(f"role {role.arn} could not be checked, the caller may not read it ({refusal.evidence})")
        return
    if found is None and role.manage:
        report.seen.append(f"role {role.arn} is not there yet; task iam_role makes it")
        _may_make(report, admin, role)
    elif problem := report.ask(lambda: role_problem(admin, role)):
        report.problems.append(problem)


def _may_make(report: Report, admin: AwsAccess, role: IamRole) -> None:
    needed = ("iam:CreateRole", "iam:TagRole", "iam:PutRolePolicy")
    _ask_all(report, admin, principal_of(admin.caller()), [(action, role.arn, {}) for action in needed])


# ---- what the caller may do


def _caller_may(
    report: Report, access: AwsAccess, principal: Principal, domain: Domain | None, role_arn: str | None
) -> None:
    if domain:
        needed = [
            (action, f"{domain.arn}/*")
            for action in policies.DOMAIN_ACTIONS
            if not _let_in(domain, principal, action)  # the domain's own policy has no part in a simulation
        ]
        _ask_all(report, access, principal, [(action, resource, {}) for action, resource in needed])
    if role_arn:
        _ask_all(report, access, principal, [("iam:PassRole", role_arn, {grants.PASSED_TO: SERVICE})])


def _ask_all(
    report: Report, access: AwsAccess, principal: Principal, needed: list[tuple[str, str, dict[str, str]]]
) -> None:
    decided: dict[tuple[str, str, Decision | None], list[str]] = {}
    for action, resource, context in needed:
        decision = iam_questions.decision_for(access, principal, action, resource, context)
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
    why = iam_questions.why_not(access, principal, actions[0], resource, context)
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
