"""The role of a blueprint as a value, and the linter that refuses wildcards in what the catalog's roles are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from opensearch_ml.aws.policy_evaluation import as_list
from opensearch_ml.base.arns import OPENSEARCH_SERVICE, DomainArn
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.errors import InvalidBlueprint
from opensearch_ml.iam import permissions, policies
from opensearch_ml.iam import role as iam_role
from opensearch_ml.iam.role import role_for
from tests.support.examples import action, parsed
from tests.support.repository import REPOSITORY

DOMAIN = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
OTHER = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/other1")
INCLUDE = REPOSITORY / "include"
CATALOG = Catalog(INCLUDE / "blueprints", INCLUDE / "no_targets")
# Nobody knows a batch job's name beforehand: Bedrock gives it an id, and SageMaker takes the caller's, with our prefix.
BATCH_JOBS = (":model-invocation-job/*", ":transform-job/opensearch-*")


def with_role(arn: str | None, **parts: Any) -> Blueprint:
    credential: dict[str, Any] = (
        {"roleArn": arn} if arn else {key: {"conn_id": "a"} for key in ("access_key", "secret_key")}
    )
    return parsed(
        {
            "protocol": "aws_sigv4",
            "credential": credential,
            "parameters": {"region": "eu-central-1", "service_name": "sagemaker"},
            "actions": [action(url="http://127.0.0.1:1/endpoints/e/invocations")],
        },
        **parts,
    )


def test_the_role_has_its_arns_name_and_path() -> None:
    role = role_for(with_role("arn:aws:iam::111122223333:role/teams/search/invoke-it", iam_role={}), DOMAIN)
    assert role
    assert (role.name, role.path, role.manage) == ("invoke-it", "/teams/search/", True)
    assert (role.services, role.boundary, role.policy_name) == (
        ("opensearchservice.amazonaws.com",),
        None,
        "opensearch_ml-probe@eu-central-1.search",
    )
    assert role.permissions["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sagemaker:InvokeEndpoint",
            "Resource": "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/e",
        }
    ]


def test_the_section_says_the_rest() -> None:
    statement = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    section = {
        "manage": False,
        "trusted_services": ["es.amazonaws.com"],
        "statements": [statement],
        "permissions_boundary": "arn:aws:iam::111122223333:policy/boundary",
        "description": "Mine",
    }
    role = role_for(with_role("arn:aws:iam::111122223333:role/r", iam_role=section), DOMAIN)
    assert role
    assert (role.path, role.manage, role.services, role.description) == ("/", False, ("es.amazonaws.com",), "Mine")
    assert role.boundary == section["permissions_boundary"]
    assert role.permissions["Statement"][1:] == [statement]


def test_without_the_section_it_is_compared_and_never_written() -> None:
    role = role_for(with_role("arn:aws:iam::111122223333:role/r"), DOMAIN)
    assert role
    assert role.manage is False
    assert role.services == (OPENSEARCH_SERVICE,)


def test_a_connector_without_a_role_has_none() -> None:
    assert role_for(with_role(None), DOMAIN) is None
    assert role_for(parsed(), DOMAIN) is None


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("arn:aws:iam::444455556666:role/r", "can be passed only its own account's"),
        ("arn:aws-cn:iam::111122223333:role/r", "is a role of partition aws-cn"),
    ],
)
def test_a_role_that_the_domain_cannot_be_passed_is_a_finding(arn: str, words: str) -> None:
    with pytest.raises(InvalidBlueprint, match=words) as caught:
        role_for(with_role(arn), DOMAIN)
    (finding,) = caught.value.findings
    assert finding.path == "connector.credential.roleArn"
    assert "arn:aws:iam::111122223333:role/r" in finding.fix


def test_the_policys_name_is_as_long_as_iam_takes_and_still_tells_blueprints_and_domains_apart() -> None:
    assert iam_role.policy_name("a.b-c_d", DOMAIN) == "opensearch_ml-a.b-c_d@eu-central-1.search"
    long = [iam_role.policy_name("x" * 127 + end, domain) for end in "ab" for domain in (DOMAIN, OTHER)]
    assert {len(name) for name in long} == {iam_role.POLICY_NAME_LENGTH}
    assert len(set(long)) == 4
    for name in (*long, iam_role.policy_name("a", DOMAIN), "mine", "mine@eu-central-1.search"):
        ours = name.endswith("@eu-central-1.search") and name != "mine@eu-central-1.search"
        assert iam_role.is_policy_for(name, DOMAIN) is ours


# ---- the linter


def _nothing_finer(action: str) -> bool:
    service, _, operation = action.partition(":")
    return operation in permissions.NOTHING_FINER.get(service, ())


def _bound_to_a_profile(statement: dict[str, Any], resource: str) -> bool:
    condition = statement.get("Condition", {})
    bound = as_list(condition.get("StringLike", {}).get(permissions.PROFILE_CONDITION))
    of_region = resource.startswith("arn:aws:bedrock:*::foundation-model/") and resource.count("*") == 1
    return of_region and bool(bound) and not any("*" in arn for arn in bound)


def wildcards(document: Mapping[str, Any]) -> list[str]:
    """Whatever a permission policy has of wildcards that nobody asked for."""
    found = []
    for statement in document["Statement"]:
        actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
        found += [one for one in actions if "*" in one or "?" in one]
        for resource in resources:
            finest = resource == "*" and all(map(_nothing_finer, actions))
            if "*" in resource and not (
                finest or _bound_to_a_profile(statement, resource) or resource.endswith(BATCH_JOBS)
            ):
                found.append(f"{actions}: {resource}")
    return found


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_role_of_the_catalog_is_given_no_wildcard_and_assumed_for_this_domain_alone(name: str) -> None:
    blueprint = CATALOG.blueprint(name, domain_arn=DOMAIN)
    role = role_for(blueprint, DOMAIN)
    assert (role is None) is ("roleArn" not in blueprint.connector.credential)
    if role is None:
        return
    assert role.permissions["Statement"]
    assert wildcards(role.permissions) == []
    assert policies.size_problem([role.permissions], policies.INLINE_POLICIES_LIMIT) is None
    trust = policies.trust_policy([role.domain], role.services)
    assert trust["Statement"][0]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": DOMAIN.account_id},
        "ArnLike": {"aws:SourceArn": str(DOMAIN)},
    }
    assert "*" not in str(trust)
    assert not any(policies.trust_warning(trust, service) for service in role.services)


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "sagemaker:*", "Resource": "arn:aws:sagemaker:a:1:endpoint/e"},
        {"Action": "sagemaker:InvokeEndpoint", "Resource": "*"},
        {"Action": ["textract:DetectDocumentText", "sagemaker:InvokeEndpoint"], "Resource": "*"},
        {"Action": "bedrock:InvokeModel", "Resource": "arn:aws:bedrock:*::foundation-model/m"},
        {
            "Action": "bedrock:InvokeModel",
            "Resource": "arn:aws:bedrock:*::foundation-model/*",
            "Condition": {"StringLike": {"bedrock:InferenceProfileArn": "arn:aws:bedrock:a:1:inference-profile/p"}},
        },
    ],
)
def test_the_linter_sees_a_wildcard(statement: dict[str, Any]) -> None:
    assert wildcards({"Statement": [statement]})
