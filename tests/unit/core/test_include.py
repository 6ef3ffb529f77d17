"""What the repository itself brings: every blueprint in include/ is valid as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import seeds

from opensearch_ml import permissions, trusted_endpoints
from opensearch_ml.arns import DomainArn
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.catalog import Catalog
from opensearch_ml.iam_role import role_for

INCLUDE = Path(__file__).resolve().parents[3] / "include"
CATALOG = Catalog(INCLUDE / "blueprints", INCLUDE / "no_targets")
FRANKFURT = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
BEIJING = DomainArn.parse("arn:aws-cn:es:cn-north-1:111122223333:domain/search")
ENDPOINT = "arn:aws:sagemaker:eu-central-1:111122223333:endpoint"
MODEL = "arn:aws:bedrock:eu-central-1::foundation-model"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:opensearch-openai-AbCdEf"
# Blueprint with a role: the role's name, and the one thing that it may do.
ROLES = {
    "bedrock_titan_embedding": (
        "opensearch-bedrock-role",
        "bedrock:InvokeModel",
        f"{MODEL}/amazon.titan-embed-text-v2:0",
    ),
    "bedrock_titan_embedding_painless": (
        "opensearch-bedrock-role",
        "bedrock:InvokeModel",
        f"{MODEL}/amazon.titan-embed-text-v1",
    ),
    "comprehend_language": ("opensearch-comprehend-role", "comprehend:DetectDominantLanguage", "*"),
    "openai_embedding_secrets_manager": (
        "opensearch-secretmanager-role",
        "secretsmanager:GetSecretValue",
        SECRET,
    ),
    "sagemaker_async": (
        "opensearch-sagemaker-role",
        "sagemaker:InvokeEndpointAsync",
        f"{ENDPOINT}/opensearch-async",
    ),
    "sagemaker_embedding": (
        "opensearch-sagemaker-role",
        "sagemaker:InvokeEndpoint",
        f"{ENDPOINT}/opensearch-embedding",
    ),
    "sagemaker_question_answering": (
        "opensearch-sagemaker-role",
        "sagemaker:InvokeEndpoint",
        f"{ENDPOINT}/opensearch-question-answering",
    ),
    "textract_text": ("opensearch-textract-role", "textract:DetectDocumentText", "*"),
}


def blueprint(name: str, domain_arn: DomainArn = FRANKFURT) -> Blueprint:
    return CATALOG.blueprint(name, domain_arn=domain_arn)


def test_there_are_blueprints():
    assert CATALOG.blueprint_names()


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_blueprint_of_the_catalog_is_valid_with_its_defaults(name):
    found = blueprint(name)
    assert found.connector.references or "roleArn" in found.connector.credential
    assert all(trusted_endpoints.covers(pattern, url) for pattern, url in found.trusted)
    # A blueprint without a smoke test would be deployed unproved.
    assert found.connector.is_mcp or found.smoke_test


@pytest.mark.parametrize("name", sorted(set(CATALOG.blueprint_names()) - set(ROLES)))
def test_a_blueprint_without_a_role_needs_no_domain(name):
    assert "roleArn" not in CATALOG.blueprint(name).connector.credential


@pytest.mark.parametrize("name", ROLES)
def test_a_blueprint_with_a_role_tells_all_that_the_role_must_be_allowed(name):
    found = blueprint(name)
    role, (name_of_role, action, resource) = role_for(found, FRANKFURT), ROLES[name]
    assert role is not None
    assert (role.name, role.manage) == (name_of_role, True)
    assert permissions.required(found, FRANKFURT.account_id, FRANKFURT.partition) == [
        permissions.Permission(action, (resource,))
    ]
    assert permissions.underivable(found) == []


@pytest.mark.parametrize("name", ROLES)
def test_a_blueprint_with_a_role_follows_its_domain_to_another_partition(name):
    found = blueprint(name, BEIJING)
    hosts = {re.sub(r"^https://([^/]+).*", r"\1", url) for url in found.connector.urls}
    assert found.connector.credential["roleArn"].startswith("arn:aws-cn:iam::111122223333:role/")
    assert all(host.endswith(".cn-north-1.amazonaws.com.cn") or host == "api.openai.com" for host in hosts)


def test_the_painless_functions_are_the_documentations_own_verbatim():
    [action] = blueprint("bedrock_titan_embedding_painless").connector.actions
    [documented] = seeds.BEDROCK["actions"]
    functions = ("pre_process_function", "post_process_function")
    assert [getattr(action, name) for name in functions] == [documented[name] for name in functions]


def test_the_question_answering_body_is_the_aws_tutorials_own():
    [action] = blueprint("sagemaker_question_answering").connector.actions
    [documented] = seeds.SAGEMAKER_ROLE["actions"]
    assert action.request_body == documented["request_body"]


def test_every_target_is_valid():
    assert Catalog(INCLUDE / "blueprints", INCLUDE / "targets").targets() is not None
