"""Why a request was refused: the missing link, found by asking AWS and the cluster, not by guessing.

A refusal names what was tried; it does not tell whether a policy lacks a statement, denies it in as many words, binds
it to another domain, or has not spread yet. What may not be asked is said, and never taken for an answer.
"""

from __future__ import annotations

import json
import logging
import re

from opensearch_ml.aws import domain as domains
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.policy_evaluation import decide
from opensearch_ml.aws.refusals import ANONYMOUS, RefusedAction, refused_action
from opensearch_ml.base.arns import OPENSEARCH_SERVICE, Arn, Principal, principal_of
from opensearch_ml.client.documents import CallerDoc
from opensearch_ml.errors import (
    AuthenticationFailed,
    NotFound,
    NotYetEffective,
    OpenSearchMLError,
    PermissionDenied,
    PreflightFailed,
    RemoteModelRefused,
    Unreachable,
)
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam import cli_commands, grants, policies, queries
from opensearch_ml.steps.role_mapping import ML_ROLE

log = logging.getLogger(__name__)

ML_ROLE_HAS = ("cluster:admin/opensearch/ml/", "cluster:monitor/", "indices:monitor/")
ADMINISTRATOR = "a Security administrator (on a domain: the master user)"
REQUESTS = ("GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "HEAD ")  # how the evidence of what the cluster says begins
NOT_YET = "run again in a minute; if it stays, a permissions boundary or an organization's policy denies it"
_NO_PERMISSIONS = re.compile(r"no permissions for \[(?P<permission>[^\],]+)[^\]]*\] and User \[name=(?P<name>[^,\]]+)")
_NO_ENDPOINT = re.compile(r"Endpoint (?P<name>\S+) of account (?P<account>\d{12}) not found")


def explain(error: OpenSearchMLError, hook: OpenSearchMLHook) -> OpenSearchMLError:
    """Return the error that names the missing link; the same one where asking tells nothing more.

    :param hook: the one whose request was refused; AWS is asked by its AWS connection.
    """
    if isinstance(error, PreflightFailed):
        return error  # what could be asked was
    try:
        return _explained(error, hook) or error
    except ValueError as unknown:  # a principal that is no user and no role
        log.info("why cannot be asked further: the principal %s", unknown)
        return error
    except OpenSearchMLError as unasked:
        log.info("why cannot be asked further: %s (%s)", unasked.cause, unasked.evidence)
        return error


def _explained(error: OpenSearchMLError, hook: OpenSearchMLHook) -> OpenSearchMLError | None:
    if isinstance(error, PermissionDenied) and (found := _NO_PERMISSIONS.search(error.evidence)):
        return _not_mapped(error, hook, found["permission"], found["name"])
    if isinstance(error, RemoteModelRefused) and (missing := _NO_ENDPOINT.search(error.evidence)):
        return _no_such_endpoint(error, missing["name"], missing["account"])
    if hook.aws is None:
        return None
    if isinstance(error, AuthenticationFailed):
        return _not_authentic(error, hook.aws)
    if isinstance(error, Unreachable):
        return _unreachable(hook, hook.aws)
    refused = refused_action(error.evidence)
    if refused is None or refused.principal == ANONYMOUS:
        return None
    if isinstance(error, RemoteModelRefused):
        return _role_may_not(error, refused, hook.aws)
    if not error.evidence.startswith(REQUESTS):
        return None  # what AWS's own APIs refuse, the steps tell in full
    if refused.action == "sts:AssumeRole":
        return _not_trusted(error, refused, hook)
    if refused.action == "iam:PassRole":
        return _may_not_pass(error, refused, hook)
    return _may_not(error, refused, hook) if refused.action.startswith("es:") else None


# ---- the cluster's own access control


def _not_mapped(error: OpenSearchMLError, hook: OpenSearchMLHook, permission: str, name: str) -> PermissionDenied:
    info = hook.authinfo()
    roles = ", ".join(info["roles"]) or "none"
    evidence = f"{error.evidence}; GET /_plugins/_security/authinfo: {name} has the roles {roles}"
    if ML_ROLE in info["roles"] or not permission.startswith(ML_ROLE_HAS):
        return PermissionDenied(
            f"{name} lacks {permission}, which is not in {ML_ROLE}",
            evidence=evidence,
            fix=f"let {ADMINISTRATOR} do this step (opensearch_admin_conn_id), or map {name} to a role that has "
            f"{permission}",
        )
    return PermissionDenied(
        f"{name} is mapped to no role that may use ML Commons", evidence=evidence, fix=how_to_map(info)
    )


def how_to_map(info: CallerDoc) -> str:
    """Return who has to send what, so that a caller gets `ML_ROLE`.

    :param info: the caller as the cluster sees it, see ``OpenSearchMLHook.authinfo``.
    """
    kind, names = ("backend_roles", info["backend_roles"]) if info["backend_roles"] else ("users", [info["user_name"]])
    patch = [{"op": "add", "path": f"/{ML_ROLE}", "value": {kind: names}}]
    return (
        f"run opensearch_ml_provision with opensearch_admin_conn_id set to a connection of {ADMINISTRATOR}: its task "
        f"role_mapping does it. By hand, if nobody is mapped to {ML_ROLE} yet: "
        f"PATCH /_plugins/_security/api/rolesmapping {json.dumps(patch)}; else add {', '.join(names)} to its {kind}"
    )


# ---- the signature


def _not_authentic(error: OpenSearchMLError, access: AwsAccess) -> AuthenticationFailed | None:
    """Ask STS with the same keys: if it takes them, they are not what is wrong."""
    if "another signature" not in error.cause and "does not know the access key" not in error.cause:
        return None
    try:
        caller = access.caller()
    except AuthenticationFailed:
        return None
    return AuthenticationFailed(
        "the domain refuses a signature that STS accepts, so the keys are right",
        evidence=f"{error.evidence}; sts:GetCallerIdentity -> {caller}",
        fix="send the requests to the domain's own endpoint, not through a proxy or a custom host name that changes "
        "host, path or body on the way; and check that domain_arn is of the partition and region of the host",
    )


# ---- the network


def _unreachable(hook: OpenSearchMLHook, access: AwsAccess) -> OpenSearchMLError | None:
    """Tell a domain inside a VPC from one that does not answer."""
    if hook.domain_arn is None:
        return None
    try:
        domains.check_reachable(domains.describe(access, hook.domain_arn))
    except Unreachable as told:
        return told
    return None


# ---- IAM: what the caller may do


def _may_not(error: OpenSearchMLError, refused: RefusedAction, hook: OpenSearchMLHook) -> OpenSearchMLError:
    """A request to the domain."""
    principal = principal_of(refused.principal)
    domain = hook.domain_arn
    resource = f"{domain}/*" if domain else refused.resource or "*"
    if refused.explicit_deny:
        return _denied(error, refused, principal, hook.aws)
    if domain and principal.account_id != domain.account_id:
        return PermissionDenied(
            f"{principal.arn} is of another account than the domain, whose access policy does not let it in",
            evidence=error.evidence,
            fix=f"add to the access policy of {domain}: "
            + json.dumps(
                {"Effect": "Allow", "Principal": {"AWS": principal.arn}, "Action": "es:ESHttp*", "Resource": resource}
            )
            + f"; and {grants.how_to_allow(principal, [grants.statement('es:ESHttp*', resource)])}",
        )
    return PermissionDenied(
        f"{principal.arn} may not {refused.action} on {resource}",
        evidence=error.evidence,
        fix=grants.how_to_allow(
            principal,
            policies.caller_policy(None, domain)["Statement"]
            if domain
            else [grants.statement(refused.action, resource)],
        ),
    )


def _may_not_pass(error: OpenSearchMLError, refused: RefusedAction, hook: OpenSearchMLHook) -> OpenSearchMLError:
    """The connector's role."""
    assert hook.aws  # noqa: S101 asked before
    principal, role_arn = principal_of(refused.principal), refused.resource or "*"
    role = Arn.parse(role_arn)
    if hook.domain_arn and role.account_id != hook.domain_arn.account_id:
        return PermissionDenied(
            f"{role_arn} is a role of another account, and only a role of the domain's account can be passed",
            evidence=error.evidence,
            fix=f"name a role of account {hook.domain_arn.account_id} as roleArn, and {role_arn} as "
            "externalAccountRoleArn",
        )
    if missing := _missing_role(error, role_arn, hook.aws):
        return missing
    if refused.explicit_deny:
        return _denied(error, refused, principal, hook.aws)
    passed_to = {grants.PASSED_TO: OPENSEARCH_SERVICE}
    decision = queries.decision_for(hook.aws, principal, refused.action, role_arn, passed_to)
    if decision == "allowed":
        return NotYetEffective(
            f"{principal.arn} may pass {role_arn} by its policies, and AWS does not go by them yet",
            evidence=error.evidence,
            fix=NOT_YET,
        )
    return PermissionDenied(
        f"{principal.arn} may not pass {role_arn} to {OPENSEARCH_SERVICE}",
        evidence=_and_why(error, hook.aws, principal, refused.action, role_arn, passed_to),
        fix=grants.how_to_allow(principal, [grants.pass_role(role_arn, OPENSEARCH_SERVICE)]),
    )


def _missing_role(error: OpenSearchMLError, role_arn: str, access: AwsAccess) -> NotFound | None:
    try:
        found = queries.find_role(access, role_arn.rpartition("/")[2])
    except PermissionDenied as refusal:
        log.info("whether role %s exists cannot be asked: %s", role_arn, refusal.evidence)
        return None
    if found and found["Arn"] == role_arn:
        return None
    there = f"GetRole -> {found['Arn']}" if found else "GetRole -> there is none"
    return NotFound(
        f"there is no IAM role {role_arn}",
        evidence=f"{error.evidence}; {there}",
        fix="run task iam_role, with a section iam_role: {} in the blueprint, or correct connector.credential.roleArn",
    )


# ---- IAM: what the role lets in, and what it may do


def _not_trusted(error: OpenSearchMLError, refused: RefusedAction, hook: OpenSearchMLHook) -> OpenSearchMLError | None:
    access, role_arn, domain = hook.aws, refused.resource or "", hook.domain_arn
    if access is None or domain is None:
        return None
    if missing := _missing_role(error, role_arn, access):
        return missing
    role = queries.find_role(access, role_arn.rpartition("/")[2])
    if role is None:
        return None
    trust = role["AssumeRolePolicyDocument"]
    # Older domains call as another service.
    service = refused.principal if refused.principal.endswith(".amazonaws.com") else OPENSEARCH_SERVICE
    if problem := policies.trust_problem(trust, service, domain):
        wanted = policies.with_trust(trust, domain, [service])
        return PermissionDenied(
            f"the trust policy of {role_arn} does not let the domain assume it: {problem.words}",
            evidence=error.evidence,
            fix=f"correct the statement that is named there: {json.dumps(trust)}"
            if problem.kind == "explicit_deny"
            else f"write this trust policy: {cli_commands.update_trust_of(role['RoleName'], wanted)}",
        )
    return NotYetEffective(
        f"the trust policy of {role_arn} lets the domain in, and AWS does not go by it yet",
        evidence=error.evidence,
        fix=NOT_YET,
    )


def _role_may_not(error: OpenSearchMLError, refused: RefusedAction, access: AwsAccess) -> OpenSearchMLError | None:
    """What the model's platform says to the role, or to the user whose keys the connector has."""
    principal, resource = principal_of(refused.principal), refused.resource or "*"
    if refused.explicit_deny:
        return _denied(error, refused, principal, access)
    if principal.kind == "role":
        documents = queries.policies_of_role(access, principal.name)
        if decide(documents.values(), refused.action, resource) == "allowed":
            return NotYetEffective(
                f"{principal.arn} may {refused.action} by its policies, and AWS does not go by them yet",
                evidence=error.evidence,
                fix=NOT_YET,
            )
    return RemoteModelRefused(
        f"{principal.arn}, which the connector signs as, may not {refused.action} on {resource}",
        evidence=error.evidence,
        fix=grants.how_to_allow(principal, [grants.statement(refused.action, resource)]),
    )


def _no_such_endpoint(error: OpenSearchMLError, name: str, account: str) -> RemoteModelRefused:
    return RemoteModelRefused(
        f"account {account} has no SageMaker endpoint {name} in the connector's region",
        evidence=error.evidence,
        fix="correct the endpoint's name in the action's URL, or the region: aws sagemaker list-endpoints names them",
    )


def _denied(
    error: OpenSearchMLError, refused: RefusedAction, principal: Principal, access: AwsAccess | None
) -> PermissionDenied:
    resource = refused.resource or "*"
    return PermissionDenied(
        f"a policy denies {refused.action} to {principal.arn} in as many words",
        evidence=_and_why(error, access, principal, refused.action, resource),
        fix=f"correct the statement with Effect Deny that holds for {principal.arn} and {resource} (its own policies, "
        "its boundary, the organization's): allowing it elsewhere does not help",
    )


def _and_why(
    error: OpenSearchMLError,
    access: AwsAccess | None,
    principal: Principal,
    action: str,
    resource: str,
    context: dict[str, str] | None = None,
) -> str:
    why = queries.why_not(access, principal, action, resource, context) if access else ""
    return f"{error.evidence}; {why}" if why else error.evidence
