from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_ml.aws.policy_evaluation import decide, statements
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.iam import policies
from opensearch_ml.iam.permissions import Permission
from opensearch_ml.iam.policies import same, trust_policy, trust_problem, trust_warning, with_trust, without_trust
from tests.support import seeds

DOMAIN = DomainArn.parse(seeds.DOMAIN_ARN)
OTHER = DomainArn.parse("arn:aws:es:us-east-1:111122223333:domain/other")
FOREIGN = DomainArn.parse("arn:aws:es:eu-central-1:444455556666:domain/domain-name")
SERVICE, OLD_SERVICE = "opensearchservice.amazonaws.com", "es.amazonaws.com"
BOUND = {**seeds.TRUST, "Statement": [{**seeds.TRUST["Statement"][0], "Condition": seeds.TRUST_CONDITION}]}
LAMBDA = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


def trust(*conditions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A trust policy whose one statement lets the service in under these conditions."""
    condition = {operator: keys for one in conditions for operator, keys in one.items()}
    statement = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": {**statement, "Condition": condition, **fields}}


# ---- made


def test_the_trust_policy_is_the_documents_own_with_its_recommended_conditions() -> None:
    made = trust_policy([DOMAIN], [SERVICE])
    ours = {key: value for key, value in made["Statement"][0].items() if key != "Sid"}
    assert same({**made, "Statement": ours}, BOUND)
    assert made["Statement"][0]["Sid"] == "OpenSearchML"


def test_several_domains_and_services_stand_in_one_statement() -> None:
    statement = trust_policy([OTHER, DOMAIN], [SERVICE, OLD_SERVICE])["Statement"][0]
    assert statement["Principal"] == {"Service": [OLD_SERVICE, SERVICE]}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ArnLike": {"aws:SourceArn": [str(DOMAIN), str(OTHER)]},
    }


def test_the_callers_policy_is_the_documents_own_and_the_other_methods() -> None:
    made = policies.caller_policy(seeds.ROLE_ARN, DOMAIN)
    asked = [(s["Action"], s["Resource"]) for s in seeds.CALLER["Statement"]]
    assert all(decide([made], action, resource) == "allowed" for action, resource in asked)
    assert made["Statement"][0] == seeds.CALLER["Statement"][0]
    assert made["Statement"][1]["Action"] == [f"es:ESHttp{verb}" for verb in ("Delete", "Get", "Post", "Put")]
    assert len(policies.caller_policy(None, DOMAIN)["Statement"]) == 1


def test_permissions_of_one_resource_and_condition_share_a_statement() -> None:
    bound = {"StringLike": {"k": "v"}}
    made = policies.permission_policy(
        [
            Permission("s:B", ("arn:2", "arn:1")),
            Permission("s:A", ("arn:1", "arn:2")),
            Permission("s:A", ("arn:3",), bound),
            Permission("s:C", ("*",)),
        ],
        [{"Sid": "mine", "Effect": "Allow", "Action": "x:Y", "Resource": "*"}],
    )
    assert made["Statement"] == [
        {"Effect": "Allow", "Action": ["s:A", "s:B"], "Resource": ["arn:1", "arn:2"]},
        {"Effect": "Allow", "Action": "s:A", "Resource": "arn:3", "Condition": bound},
        {"Effect": "Allow", "Action": "s:C", "Resource": "*"},
        {"Sid": "mine", "Effect": "Allow", "Action": "x:Y", "Resource": "*"},
    ]


# ---- compared

VALUES = st.lists(st.sampled_from(["s:A", "s:B", "s:C"]), min_size=1, max_size=3, unique=True)
STATEMENT = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Action": VALUES, "Resource": VALUES},
    optional={
        "Principal": st.fixed_dictionaries({"Service": VALUES}),
        "Condition": st.dictionaries(
            st.sampled_from(["StringEquals", "ArnLike"]),
            st.dictionaries(st.sampled_from(["aws:X", "aws:Y"]), VALUES, min_size=1),
            max_size=2,
        ),
    },
)


def rewritten(value: Any, data: st.DataObject) -> Any:
    """The same document as somebody else might write it."""
    if isinstance(value, dict):
        keys = data.draw(st.permutations(list(value)))
        return {key: rewritten(value[key], data) for key in keys}
    if isinstance(value, list):
        shuffled = [rewritten(one, data) for one in data.draw(st.permutations(value))]
        return shuffled[0] if len(shuffled) == 1 and data.draw(st.booleans()) else shuffled
    return value


@given(st.lists(STATEMENT, min_size=1, max_size=3), st.data())
def test_order_and_single_or_list_make_no_difference(written: list[dict[str, Any]], data: st.DataObject) -> None:
    document = {"Version": "2012-10-17", "Statement": written}
    other = rewritten(document, data)
    assert same(document, other)
    assert policies.diff(document, other) == ""


def test_the_case_of_actions_and_condition_keys_makes_no_difference_but_that_of_resources_does() -> None:
    document = {"Statement": [{"Action": "S:a", "Resource": "x", "Condition": {"Bool": {"AWS:Z": True}}}]}
    assert same(
        document, {"Statement": {"Action": ["s:A"], "Resource": ["x"], "Condition": {"Bool": {"aws:z": "true"}}}}
    )
    assert not same(document, {"Statement": [{**document["Statement"][0], "Resource": "X"}]})


def test_an_account_is_its_root() -> None:
    written = {"Statement": [{"Principal": {"AWS": "111122223333"}}]}
    assert same(written, {"Statement": [{"Principal": {"AWS": ["arn:aws:iam::111122223333:root"]}}]})


@pytest.mark.parametrize(
    "change",
    [{"Effect": "Deny"}, {"Sid": "x"}, {"Resource": "*"}, {"Action": "s:B"}, {"Condition": {"Null": {"k": "true"}}}],
)
def test_any_other_difference_is_one(change: dict[str, Any]) -> None:
    document = {"Statement": [{"Effect": "Allow", "Action": "s:A", "Resource": "arn:1"}]}
    assert not same(document, {"Statement": [{**document["Statement"][0], **change}]})


def test_the_diff_shows_what_changes_and_nothing_else() -> None:
    lines = policies.diff(BOUND, with_trust(BOUND, OTHER, [SERVICE])).splitlines()
    assert lines[:2] == ["--- found", "+++ wanted"]
    assert not [line for line in lines[2:] if line.startswith("-")]
    assert any(str(OTHER) in line for line in lines if line.startswith("+"))


def test_what_iam_finds_too_long_is_told_before_it_is_written() -> None:
    document = trust_policy([DOMAIN], [SERVICE])
    assert policies.size_problem([document], policies.TRUST_POLICY_LIMIT) is None
    many = [DomainArn("aws", "eu-central-1", "111122223333", f"domain-{i}") for i in range(40)]
    size = len(json.dumps(trust_policy(many, [SERVICE]), separators=(",", ":")))
    assert policies.size_problem([trust_policy(many, [SERVICE])], policies.TRUST_POLICY_LIMIT) == (
        f"{size} characters without white space, and IAM takes 2048"
    )
    assert policies.size_problem([document] * 40, policies.INLINE_POLICIES_LIMIT)


# ---- who is let in


@pytest.mark.parametrize(
    "document",
    [
        seeds.TRUST,
        BOUND,
        trust_policy([DOMAIN, OTHER], [OLD_SERVICE, SERVICE]),
        trust({"StringLike": {"aws:SourceAccount": "1111*"}}, {"StringEquals": {"AWS:sourcearn": str(DOMAIN)}}),
        trust({"ArnEquals": {"aws:SourceArn": ["arn:aws:es:*:111122223333:domain/*"]}}),
        trust({"StringEquals": {"aws:SourceAccount": ["444455556666", "111122223333"]}}),
        trust({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
        trust({"Bool": {"aws:PrincipalIsAWSService": "true"}}, Action=["sts:Assume*", "sts:TagSession"]),
        {"Statement": [LAMBDA, *BOUND["Statement"]]},
        {"Statement": [*BOUND["Statement"], {**LAMBDA, "Effect": "Deny"}]},
        {"Statement": [trust({"StringEquals": {"aws:SourceAccount": "1"}})["Statement"], *seeds.TRUST["Statement"]]},
    ],
)
def test_the_service_may_assume_the_role_for_the_domain(document: dict[str, Any]) -> None:
    assert trust_problem(document, SERVICE, DOMAIN) is None
    assert with_trust(document, DOMAIN, [SERVICE]) is document


@pytest.mark.parametrize(
    ("document", "kind", "words"),
    [
        ({"Statement": []}, "no_statement", "no statement of the trust policy allows sts:AssumeRole"),
        (trust(Action="sts:AssumeRoleWithSAML"), "no_statement", "no statement"),
        ({"Statement": LAMBDA}, "principal", "names other principals only (lambda.amazonaws.com)"),
        (trust(Principal={"Service": OLD_SERVICE}), "principal", "other principals only (es.amazonaws.com)"),
        (trust(Principal={"AWS": "arn:aws:iam::111122223333:root"}), "principal", "111122223333:root"),
        (
            trust_policy([FOREIGN], [SERVICE]),
            "source_account",
            "OpenSearchML asks for StringEquals aws:SourceAccount 444455556666 (the request has 111122223333)",
        ),
        (trust_policy([OTHER], [SERVICE]), "source_arn", f"ArnLike aws:SourceArn {OTHER} (the request has {DOMAIN})"),
        (
            trust({"ArnLike": {"aws:SourceArn": "arn:aws:es:eu-central-1:111122223333:domain/DOMAIN-NAME"}}),
            "source_arn",
            "DOMAIN-NAME",
        ),
        (
            trust({"StringEquals": {"aws:SourceArn": "arn:aws:es:eu-central-1:111122223333:domain/*"}}),
            "source_arn",
            "StringEquals takes a wildcard literally; use ArnLike",
        ),
        (trust({"ArnLike": {"aws:SourceArn": "arn:aws:es:*"}}), "source_arn", "arn:aws:es:*"),
        (trust({"StringNotEquals": {"aws:SourceAccount": "111122223333"}}), "source_account", "StringNotEquals"),
        (
            trust({"StringEquals": {"sts:ExternalId": "x"}}),
            "other_condition",
            "StringEquals sts:ExternalId x (the request has none)",
        ),
        (trust({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), "other_condition", "IpAddress aws:SourceIp"),
        (
            {"Statement": [*BOUND["Statement"], {"Sid": "no", "Effect": "Deny", "Principal": "*", "Action": "sts:*"}]},
            "explicit_deny",
            "statement no denies it",
        ),
        (
            {
                "Statement": [
                    *BOUND["Statement"],
                    {"Effect": "Deny", "NotPrincipal": {"AWS": "x"}, "NotAction": "iam:*"},
                ]
            },
            "explicit_deny",
            "a statement denies it",
        ),
    ],
)
def test_what_keeps_the_service_out_is_named(document: dict[str, Any], kind: str, words: str) -> None:
    problem = trust_problem(document, SERVICE, DOMAIN)
    assert problem
    assert problem.kind == kind
    assert words in str(problem)
    assert str(problem).startswith(f"{SERVICE} may not assume the role for {DOMAIN}: ")


def test_the_statement_that_is_nearest_to_letting_it_in_is_the_one_told() -> None:
    document = {
        "Statement": [*trust_policy([FOREIGN], [SERVICE])["Statement"], *trust_policy([OTHER], [SERVICE])["Statement"]]
    }
    problem = trust_problem(document, SERVICE, DOMAIN)
    assert problem
    assert problem.kind == "source_arn"


@pytest.mark.parametrize(
    ("document", "loose"),
    [
        (seeds.TRUST, True),
        (BOUND, False),
        (trust(Principal="*"), True),
        (trust({"ArnLike": {"aws:SourceArn": "arn:aws:es:*:*:domain/*"}}), True),
        (trust({"StringNotEquals": {"aws:SourceAccount": "111122223333"}}), True),
        (trust({"StringEquals": {"aws:SourceAccount": "111122223333"}}), False),
        (trust({"ArnLike": {"aws:sourcearn": "arn:aws:es:*:111122223333:domain/*"}}), False),
        (trust({"StringEquals": {"aws:SourceOrgID": "o-abc"}}), False),
        ({"Statement": [LAMBDA]}, False),
        (trust(Effect="Deny"), False),
    ],
)
def test_a_policy_that_lets_every_accounts_domains_in_is_warned_of(document: dict[str, Any], loose: bool) -> None:
    warning = trust_warning(document, SERVICE)
    assert bool(warning) is loose
    assert not warning or "every domain of every account" in warning


# ---- merged


def test_a_domain_is_added_to_our_statement_and_others_stay() -> None:
    found = {"Version": "2008-10-17", "Id": "x", "Statement": [LAMBDA, *trust_policy([DOMAIN], [SERVICE])["Statement"]]}
    before = copy.deepcopy(found)
    merged = with_trust(found, OTHER, [SERVICE])
    assert found == before
    assert {**merged, "Statement": []} == {"Version": "2008-10-17", "Id": "x", "Statement": []}
    assert merged["Statement"] == [LAMBDA, *trust_policy([DOMAIN, OTHER], [SERVICE])["Statement"]]
    for domain in (DOMAIN, OTHER):
        assert trust_problem(merged, SERVICE, domain) is None
    assert trust_problem(merged, SERVICE, FOREIGN)


def test_what_others_put_into_our_statement_stays() -> None:
    condition = {"StringLike": {"AWS:SourceArn": [str(DOMAIN)], "aws:SourceOrgID": "o-1"}}
    ours = {"Sid": "OpenSearchML", **trust(condition, Principal={"Service": SERVICE, "AWS": "1"})["Statement"]}
    merged = with_trust({"Statement": ours}, OTHER, [SERVICE])
    assert merged["Statement"] == [
        {
            "Sid": "OpenSearchML",
            "Effect": "Allow",
            "Principal": {"Service": SERVICE, "AWS": "1"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringLike": {"AWS:SourceArn": [str(DOMAIN), str(OTHER)], "aws:SourceOrgID": "o-1"},
                "StringEquals": {"aws:SourceAccount": "111122223333"},
            },
        }
    ]
    problem = trust_problem(merged, SERVICE, OTHER)
    assert problem
    assert problem.kind == "other_condition"


@pytest.mark.parametrize("sid", ["OpenSearchML", "theirs"])
def test_a_deny_is_left_to_whoever_wrote_it(sid: str) -> None:
    document = {
        "Statement": {"Sid": sid, "Effect": "Deny", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    }
    assert with_trust(document, DOMAIN, [SERVICE]) is document


DOMAINS = st.builds(
    DomainArn,
    st.just("aws"),
    st.sampled_from(["eu-central-1", "us-east-1"]),
    st.just("111122223333"),
    st.sampled_from(["one", "two", "three"]),
)
OTHERS = st.lists(
    st.sampled_from([LAMBDA, {**LAMBDA, "Sid": "b"}, trust({"StringEquals": {"sts:ExternalId": "x"}})["Statement"]]),
    max_size=2,
)


@given(OTHERS, st.lists(DOMAINS, max_size=3, unique=True), DOMAINS)
def test_a_domain_once_let_in_changes_nothing_more_and_can_be_taken_out_again(
    others: list[dict[str, Any]], sharing: list[DomainArn], domain: DomainArn
) -> None:
    ours = trust_policy(sharing, [SERVICE])["Statement"] if sharing else []
    found = {"Version": "2012-10-17", "Statement": [*others, *ours]}
    merged = with_trust(found, domain, [SERVICE])
    assert trust_problem(merged, SERVICE, domain) is None
    assert with_trust(merged, domain, [SERVICE]) is merged
    taken = without_trust(merged, domain)
    assert taken is not None
    if domain not in sharing:
        assert taken == found
    assert trust_problem(taken, SERVICE, domain)
    assert [one for one in statements(taken) if one.get("Sid") != "OpenSearchML"] == others
    for one in set(sharing) - {domain}:
        assert trust_problem(taken, SERVICE, one) is None


@pytest.mark.parametrize("document", [seeds.TRUST, BOUND, {"Statement": LAMBDA}, trust_policy([OTHER], [SERVICE])])
def test_nothing_is_taken_out_where_nothing_is_ours(document: dict[str, Any]) -> None:
    assert without_trust(document, DOMAIN) is None


def test_the_last_domain_takes_our_statement_with_it() -> None:
    assert without_trust(trust_policy([DOMAIN], [SERVICE]), DOMAIN) == {"Version": "2012-10-17", "Statement": []}
