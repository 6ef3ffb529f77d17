from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ml.aws.policy_evaluation import decide, fits, unmet

ENDPOINT = "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/e"


def allow(**fields: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": ENDPOINT, **fields}


def without(statement: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key not in names}


def decided(*statements: dict[str, Any], resource: str = ENDPOINT, **context: Any) -> str:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return decide([document], "sagemaker:InvokeEndpoint", resource, context.get("context"))


@pytest.mark.parametrize(
    "statement",
    [
        allow(),
        allow(Action="SageMaker:invokeendpoint"),
        allow(Action=["a:b", "sagemaker:Invoke*"]),
        allow(Action="*"),
        allow(Action="sagemaker:InvokeEndpoin?"),
        allow(Resource="*"),
        allow(Resource=["arn:aws:s3:::x", "arn:aws:sagemaker:*:111122223333:endpoint/*"]),
        allow(Resource="arn:*/e"),
        without(allow(NotAction="s3:*"), "Action"),
        without(allow(NotResource="arn:aws:s3:::*"), "Resource"),
    ],
)
def test_a_statement_that_fits_allows(statement: dict[str, Any]) -> None:
    assert decided(statement) == "allowed"
    assert decide([{"Statement": statement}], "sagemaker:InvokeEndpoint", ENDPOINT) == "allowed"


@pytest.mark.parametrize(
    "statement",
    [
        allow(Action="sagemaker:InvokeEndpointAsync"),
        allow(Action="sagemaker:Invoke"),
        allow(Action=[]),
        allow(Resource=ENDPOINT.upper()),
        allow(Resource=ENDPOINT[:-1]),
        allow(Resource=f"{ENDPOINT}/*"),
        allow(Resource=ENDPOINT.replace("e", "[e]")),
        without(allow(NotAction=["sagemaker:*"]), "Action"),
        without(allow(NotResource=["arn:aws:s3:::*", ENDPOINT]), "Resource"),
        without(allow(), "Action"),
        without(allow(), "Effect"),
    ],
)
def test_a_statement_that_does_not_fit_allows_nothing(statement: dict[str, Any]) -> None:
    assert decided(statement) == "implicitDeny"


def test_nothing_is_allowed_by_nothing() -> None:
    assert decide([], "a:B", "*") == "implicitDeny"
    assert decide([{}, {"Statement": []}], "a:B", "*") == "implicitDeny"


def test_a_deny_outweighs_every_allow_also_from_another_document() -> None:
    deny = {"Effect": "Deny", "Action": "sagemaker:*", "Resource": "*"}
    assert decided(allow(), deny) == decided(deny, allow()) == decided(deny) == "explicitDeny"
    documents = [{"Statement": deny}, {"Statement": allow()}]
    assert decide(documents, "sagemaker:InvokeEndpoint", ENDPOINT) == "explicitDeny"
    assert decided(allow(), {**deny, "Action": "s3:*"}) == "allowed"


# ---- conditions

HAVE = {
    "aws:SourceAccount": "111122223333",
    "aws:SourceArn": "arn:aws:es:eu-central-1:111122223333:domain/search",
    "aws:SecureTransport": "true",
    "aws:TagKeys": ["a", "b"],
}


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "met"),
    [
        ("StringEquals", "aws:SourceAccount", "111122223333", True),
        ("StringEquals", "AWS:sourceaccount", ["1", "111122223333"], True),
        ("StringEquals", "aws:SourceAccount", 111122223333, True),
        ("StringEquals", "aws:SourceAccount", "1111*", False),
        ("StringEquals", "aws:Absent", "x", False),
        ("StringEqualsIgnoreCase", "aws:SecureTransport", "TRUE", True),
        ("StringEqualsIfExists", "aws:Absent", "x", True),
        ("StringEqualsIfExists", "aws:SourceAccount", "x", False),
        ("StringNotEquals", "aws:SourceAccount", ["x", "111122223333"], False),
        ("StringNotEquals", "aws:SourceAccount", ["x", "y"], True),
        ("StringNotEquals", "aws:Absent", "x", True),
        ("StringNotEqualsIfExists", "aws:Absent", "x", True),
        ("StringLike", "aws:SourceAccount", "1111????3333", True),
        ("StringLike", "aws:SourceArn", "*/search", True),
        ("StringLike", "aws:SourceAccount", "2*", False),
        ("StringNotLike", "aws:SourceAccount", "2*", True),
        ("ArnLike", "aws:SourceArn", "arn:aws:es:*:*:domain/*", True),
        ("ArnEquals", "aws:SourceArn", "arn:aws:es:*:111122223333:domain/se?rch", True),
        ("ArnLike", "aws:SourceArn", "arn:aws:es:*", False),
        ("ArnLike", "aws:SourceArn", "arn:*:domain/search", False),
        ("ArnLike", "aws:SourceAccount", "111122223333", False),
        ("ArnNotLike", "aws:SourceArn", "arn:aws:es:*:*:domain/other", True),
        ("ArnNotEquals", "aws:SourceArn", "arn:aws:es:*:*:domain/search", False),
        ("Bool", "aws:SecureTransport", True, True),
        ("Bool", "aws:SecureTransport", "False", False),
        ("BoolIfExists", "aws:Absent", "true", True),
        ("Null", "aws:Absent", "true", True),
        ("Null", "aws:SourceAccount", "true", False),
        ("Null", "aws:SourceAccount", False, True),
        ("StringEquals", "aws:TagKeys", "b", True),
        ("StringNotEquals", "aws:TagKeys", "b", False),
        ("IpAddress", "aws:SourceAccount", "111122223333", False),
        ("NotIpAddress", "aws:SourceAccount", "x", False),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"], False),
    ],
)
def test_a_condition_is_met_as_iam_reads_it(operator: str, key: str, wanted: object, met: bool) -> None:
    statement = allow(Condition={operator: {key: wanted}})
    assert decided(statement, context=HAVE) == ("allowed" if met else "implicitDeny")
    assert bool(unmet(statement, HAVE)) is not met


def test_every_condition_has_to_be_met_and_an_unmet_one_never_denies() -> None:
    both = {"StringEquals": {"aws:SourceAccount": "111122223333"}, "Bool": {"aws:SecureTransport": "false"}}
    assert decided(allow(Condition=both), context=HAVE) == "implicitDeny"
    assert decided(allow(), {**allow(Condition=both), "Effect": "Deny"}, context=HAVE) == "allowed"
    assert [str(one) for one in unmet(allow(Condition=both), HAVE)] == [
        "Bool aws:SecureTransport false (the request has true)"
    ]


# ---- principals


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::111122223333:role/a", "x"]}}, True),
        ({"Principal": {"Service": "arn:aws:iam::111122223333:role/a"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:role/*"}}, False),
        ({"Principal": {"Service": "*"}}, False),
        ({"NotPrincipal": {"AWS": "x"}}, True),
        ({"NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:role/a"]}}, False),
        ({}, False),
    ],
)
def test_a_statement_of_a_resource_concerns_whom_it_names(principal: dict[str, Any], named: bool) -> None:
    document = {"Statement": [{**allow(), **principal}]}
    asked = ([document], "sagemaker:InvokeEndpoint", ENDPOINT)
    decision = decide(*asked, principals={"arn:aws:iam::111122223333:role/a", "arn:aws:iam::111122223333:root"})
    assert decision == ("allowed" if named else "implicitDeny")
    assert decide(*asked) == "allowed"


# ---- wildcards


@given(st.text(alphabet="ab*?.[", max_size=6), st.text(alphabet="ab.[\n", max_size=6))
def test_only_the_star_and_the_question_mark_are_wildcards(pattern: str, text: str) -> None:
    def reference(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return any(reference(p[1:], t[i:]) for i in range(len(t) + 1))
        return bool(t) and p[0] in ("?", t[0]) and reference(p[1:], t[1:])

    assert fits(pattern, text) is reference(pattern, text)
