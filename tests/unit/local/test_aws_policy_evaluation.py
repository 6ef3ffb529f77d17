"""The stand-in's own evaluation of policies, against the examples and rules of the IAM User Guide."""

from __future__ import annotations

from typing import Any

import pytest

from local.aws_account.policy_conditions import are_met
from local.aws_account.policy_evaluation import Asked, Principal, condition_keys, decide, evaluate

ACCOUNT, OTHER = "123456789012", "999999999999"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/models/connector"
USER = f"arn:aws:iam::{ACCOUNT}:user/airflow"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/connector/opensearch"
ENDPOINT = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/embedding"
DOMAIN = f"arn:aws:es:us-east-1:{ACCOUNT}:domain/logs"
SERVICE = "opensearchservice.amazonaws.com"


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*", **elements}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


# ---- actions and resources


@pytest.mark.parametrize(
    ("action", "pattern", "decision"),
    [
        ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpoint", "allowed"),
        ("sagemaker:InvokeEndpoint", "SageMaker:invokeendpoint", "allowed"),
        ("sagemaker:InvokeEndpointAsync", "sagemaker:InvokeEndpoint", "implicitDeny"),
        ("sagemaker:InvokeEndpointAsync", "sagemaker:InvokeEndpoint*", "allowed"),
        ("sagemaker:InvokeEndpoint", ["iam:GetRole", "sagemaker:Invoke?ndpoint"], "allowed"),
        ("es:ESHttpPost", "es:ESHttp*", "allowed"),
        ("es:ESHttpPost", "iam:*", "implicitDeny"),
    ],
)
def test_actions_match_with_wildcards_and_whatever_their_case(
    action: str, pattern: str | list[str], decision: str
) -> None:
    assert decide([policy(allow(Action=pattern))], Asked(action)) == decision


@pytest.mark.parametrize(
    ("resource", "pattern", "decision"),
    [
        (ENDPOINT, ENDPOINT, "allowed"),
        (ENDPOINT, ENDPOINT.upper(), "implicitDeny"),
        (ENDPOINT, "arn:aws:sagemaker:*:*:endpoint/embed*", "allowed"),
        (ENDPOINT, "arn:aws:sagemaker:us-east-?:123456789012:endpoint/embedding", "allowed"),
        (f"{DOMAIN}/_plugins", f"{DOMAIN}/*", "allowed"),
        (DOMAIN, f"{DOMAIN}/*", "implicitDeny"),
        (f"{DOMAIN}x", f"{DOMAIN}.", "implicitDeny"),  # a dot is a dot
        ("*", ENDPOINT, "implicitDeny"),
    ],
)
def test_resources_match_with_wildcards_and_nothing_else(resource: str, pattern: str, decision: str) -> None:
    assert decide([policy(allow(Resource=pattern))], Asked("a:B", resource)) == decision


def test_not_action_and_not_resource_mean_all_others() -> None:
    one = policy({"Effect": "Allow", "NotAction": "iam:*", "NotResource": ENDPOINT})
    assert decide([one], Asked("es:ESHttpGet", DOMAIN)) == "allowed"
    assert decide([one], Asked("iam:GetRole", DOMAIN)) == "implicitDeny"
    assert decide([one], Asked("es:ESHttpGet", ENDPOINT)) == "implicitDeny"


def test_one_deny_outweighs_every_allow() -> None:
    deny = {"Effect": "Deny", "Action": "sagemaker:*", "Resource": "*"}
    assert decide([policy(allow()), policy(deny)], Asked("sagemaker:InvokeEndpoint", ENDPOINT)) == "explicitDeny"
    assert decide([policy(allow()), policy(deny)], Asked("es:ESHttpGet", DOMAIN)) == "allowed"


def test_a_statement_that_stands_alone_needs_no_list() -> None:
    assert decide([{"Statement": allow()}], Asked("a:B")) == "allowed"


# ---- conditions


def test_an_unmet_condition_makes_the_statement_not_apply() -> None:
    met = {"StringEquals": {"iam:PassedToService": SERVICE}}
    context = {"iam:PassedToService": "es.amazonaws.com"}
    assert decide([policy(allow(Condition=met))], Asked("iam:PassRole", ROLE, context)) == "implicitDeny"
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": met}
    assert decide([policy(allow(), deny)], Asked("iam:PassRole", ROLE, context)) == "allowed"


@pytest.mark.parametrize(
    ("block", "met"),
    [
        ({"StringEquals": {"k": "v"}}, True),
        ({"StringEquals": {"K": ["x", "v"]}}, True),
        ({"StringEquals": {"k": "V"}}, False),
        ({"StringEqualsIgnoreCase": {"k": "V"}}, True),
        ({"StringNotEquals": {"k": ["x", "v"]}}, False),
        ({"StringNotEquals": {"k": "x"}}, True),
        ({"StringLike": {"k": "*"}}, True),
        ({"StringNotLike": {"k": "v*"}}, False),
        ({"StringEquals": {"missing": "v"}}, False),
        ({"StringNotEquals": {"missing": "v"}}, True),
        ({"StringEqualsIfExists": {"missing": "v"}}, True),
        ({"StringEqualsIfExists": {"k": "x"}}, False),
        ({"Null": {"missing": "true"}}, True),
        ({"Null": {"k": "true"}}, False),
        ({"Null": {"k": False}}, True),
        ({"Bool": {"secure": "true"}}, True),
        ({"Bool": {"secure": False}}, False),
        ({"ArnLike": {"arn": "arn:aws:es:*:123456789012:domain/*"}}, True),
        ({"ArnEquals": {"arn": DOMAIN}}, True),
        ({"ArnLike": {"arn": "arn:aws:es:us-west-2:123456789012:domain/logs"}}, False),
        ({"ArnLike": {"arn": "arn:aws:*:domain/logs"}}, False),  # an asterisk stays within one part
        ({"ArnNotLike": {"arn": "arn:aws:es:*:999999999999:domain/*"}}, True),
        ({"NumericLessThan": {"n": "10"}}, True),
        ({"NumericNotEquals": {"n": "9"}}, False),
        ({"NumericEquals": {"k": "9"}}, False),
        ({"DateLessThan": {"date": "2030-01-01T00:00:00Z"}}, True),
        ({"IpAddress": {"ip": "10.0.0.0/8"}}, True),
        ({"NotIpAddress": {"ip": "10.0.0.0/8"}}, False),
        ({"ForAnyValue:StringEquals": {"many": ["b", "x"]}}, True),
        ({"ForAllValues:StringEquals": {"many": ["a", "x"]}}, False),
        ({"ForAllValues:StringEquals": {"many": ["a", "b", "x"]}}, True),
        ({"ForAllValues:StringEquals": {"missing": "x"}}, True),
        ({"ForAnyValue:StringEquals": {"missing": "x"}}, False),
        ({"StringMatches": {"k": "v"}}, False),  # IAM has no such operator
        ({"StringEquals": {"k": "v", "n": "1"}}, False),
        ({"StringEquals": {"k": "v"}, "ArnLike": {"arn": DOMAIN}}, True),
        ({}, True),
    ],
    ids=str,
)
def test_conditions(block: dict[str, Any], met: bool) -> None:
    context = {"k": "v", "n": "9", "secure": "true", "arn": DOMAIN, "many": ["a", "b"], "ip": "10.1.2.3"}
    assert are_met(block, {**context, "date": "2026-01-01T00:00:00Z"}) is met


def test_the_condition_keys_of_policies_are_told() -> None:
    block = {"StringEquals": {"iam:PassedToService": SERVICE}, "Bool": {"aws:SecureTransport": "true"}}
    assert condition_keys([policy(allow(Condition=block))]) == {"iam:PassedToService", "aws:SecureTransport"}


# ---- principals, boundaries, resource policies


def user(*statements: dict[str, Any], **more: Any) -> Principal:
    return Principal(USER, ACCOUNT, policies=(policy(*statements),), **more)


def session(*statements: dict[str, Any], **more: Any) -> Principal:
    return Principal(SESSION, ACCOUNT, ROLE, policies=(policy(*statements),), **more)


def test_a_boundary_grants_nothing_and_takes_away() -> None:
    inside = (policy(allow(Action="es:*")),)
    asked = Asked("sagemaker:InvokeEndpoint", ENDPOINT)
    verdict = evaluate(session(allow(), limits=(inside,)), asked)
    assert verdict.decision == "implicitDeny"
    assert "no permissions boundary allows the sagemaker:InvokeEndpoint action" in verdict.because
    assert evaluate(session(allow(), limits=(inside,)), Asked("es:ESHttpGet", DOMAIN)).decision == "allowed"
    assert evaluate(session(limits=(inside,)), Asked("es:ESHttpGet", DOMAIN)).decision == "implicitDeny"


@pytest.mark.parametrize(
    ("principal", "decision"),
    [
        ("*", "allowed"),
        ({"AWS": "*"}, "allowed"),
        ({"AWS": ROLE}, "allowed"),
        ({"AWS": [USER, SESSION]}, "allowed"),
        ({"AWS": USER}, "implicitDeny"),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:role/connector"}, "implicitDeny"),  # another one: its path is missing
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "implicitDeny"),  # the account decides, and it has not allowed
        ({"Service": SERVICE}, "implicitDeny"),
    ],
    ids=str,
)
def test_a_resource_policy_alone_is_enough_within_the_account(
    principal: str | dict[str, str | list[str]], decision: str
) -> None:
    document = policy(allow(Principal=principal))
    assert evaluate(session(), Asked("es:ESHttpGet", DOMAIN), document).decision == decision


def test_a_deny_in_a_resource_policy_counts() -> None:
    document = policy({"Effect": "Deny", "NotPrincipal": {"AWS": USER}, "Action": "*", "Resource": "*"})
    assert evaluate(session(allow()), Asked("es:ESHttpGet", DOMAIN), document).decision == "explicitDeny"
    assert evaluate(user(allow()), Asked("es:ESHttpGet", DOMAIN), document).decision == "allowed"


def test_across_accounts_both_sides_must_allow() -> None:
    theirs = DOMAIN.replace(ACCOUNT, OTHER)
    lets_us_in = policy(allow(Principal={"AWS": ACCOUNT}))
    assert evaluate(user(allow()), Asked("es:ESHttpGet", theirs)).decision == "implicitDeny"
    assert evaluate(user(), Asked("es:ESHttpGet", theirs), lets_us_in).decision == "implicitDeny"
    assert evaluate(user(allow()), Asked("es:ESHttpGet", theirs), lets_us_in).decision == "allowed"


def test_a_resource_without_an_account_is_everyones() -> None:
    model = "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0"
    assert evaluate(user(allow(Resource=model)), Asked("bedrock:InvokeModel", model)).decision == "allowed"


@pytest.mark.parametrize(
    ("trusts", "may", "decision"),
    [
        (USER, False, "allowed"),  # named itself: its own policies are not needed
        (f"arn:aws:iam::{ACCOUNT}:root", True, "allowed"),
        (f"arn:aws:iam::{ACCOUNT}:root", False, "implicitDeny"),
        (f"arn:aws:iam::{OTHER}:root", True, "implicitDeny"),
    ],
)
def test_a_role_is_assumed_only_by_whom_its_trust_policy_names(trusts: str, may: bool, decision: str) -> None:
    trust = policy({"Effect": "Allow", "Principal": {"AWS": trusts}, "Action": "sts:AssumeRole"})
    caller = user(*([allow(Action="sts:AssumeRole", Resource=ROLE)] if may else []))
    assert evaluate(caller, Asked("sts:AssumeRole", ROLE), trust).decision == decision


def test_a_service_is_let_in_by_its_name_and_its_conditions() -> None:
    conditions = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": DOMAIN}}
    statement = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    trust = policy({**statement, "Condition": conditions})
    context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": DOMAIN}

    def decision(service: str, **change: str) -> str:
        asked = Asked("sts:AssumeRole", ROLE, {**context, **{f"aws:{key}": value for key, value in change.items()}})
        return evaluate(Principal(service), asked, trust).decision

    assert decision(SERVICE) == "allowed"
    assert decision("es.amazonaws.com") == "implicitDeny"
    assert decision(SERVICE, SourceAccount=OTHER) == "implicitDeny"
    assert decision(SERVICE, SourceArn=f"{DOMAIN}-2") == "implicitDeny"


def test_a_condition_on_the_caller_means_the_role_of_a_session() -> None:
    only_ours = allow(Condition={"ArnEquals": {"aws:PrincipalArn": ROLE}})
    assert evaluate(session(only_ours), Asked("a:B")).decision == "allowed"
    assert evaluate(user(only_ours), Asked("a:B")).decision == "implicitDeny"
    assert (
        evaluate(user(allow(Condition={"StringEquals": {"aws:username": "airflow"}})), Asked("a:B")).decision
        == "allowed"
    )
