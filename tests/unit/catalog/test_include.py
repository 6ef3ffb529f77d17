"""What the repository itself brings: every blueprint in include/ is valid as it is."""

from __future__ import annotations

import re

import pytest

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.checks import versions
from opensearch_ml.iam import permissions
from opensearch_ml.iam.permissions import Permission
from opensearch_ml.iam.role import role_for
from tests.support import seeds
from tests.support.repository import REPOSITORY

INCLUDE = REPOSITORY / "include"
CATALOG = Catalog(INCLUDE / "blueprints", INCLUDE / "no_targets")
FRANKFURT = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
BEIJING = DomainArn.parse("arn:aws-cn:es:cn-north-1:111122223333:domain/search")
ENDPOINT = "arn:aws:sagemaker:eu-central-1:111122223333:endpoint"
MODEL = "arn:aws:bedrock:eu-central-1::foundation-model"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:opensearch-openai-AbCdEf"
JOBS = "arn:aws:bedrock:eu-central-1:111122223333:model-invocation-job/*"
PROFILES = "arn:aws:bedrock:eu-central-1:111122223333:inference-profile"


def invoke(model: str) -> list[Permission]:
    return [Permission("bedrock:InvokeModel", (f"{MODEL}/{model}",))]


def invoke_through_profile(geography: str, model: str) -> list[Permission]:
    profile = f"{PROFILES}/{geography}.{model}"
    anywhere = (f"arn:aws:bedrock:*::foundation-model/{model}",)
    through = {"StringLike": {"bedrock:InferenceProfileArn": profile}}
    return [
        Permission("bedrock:InvokeModel", anywhere, through),
        Permission("bedrock:InvokeModel", (profile,)),
    ]


# Blueprint with a role: all that the role may do.
ROLES = {
    "bedrock_claude_chat": invoke_through_profile("us", "anthropic.claude-sonnet-4-20250514-v1:0"),
    "bedrock_cohere_embedding": invoke("cohere.embed-multilingual-v3"),
    "bedrock_converse_chat": invoke_through_profile("us", "amazon.nova-pro-v1:0"),
    "bedrock_deepseek_chat": invoke_through_profile("us", "deepseek.r1-v1:0"),
    "bedrock_jamba_chat": invoke("ai21.jamba-1-5-mini-v1:0"),
    "bedrock_nova_chat": invoke("amazon.nova-lite-v1:0"),
    "bedrock_nova_embedding": invoke("amazon.nova-2-multimodal-embeddings-v1:0"),
    "bedrock_rerank": [*invoke("cohere.rerank-v3-5:0"), Permission("bedrock:Rerank", ("*",))],
    "bedrock_titan_batch": [
        Permission("bedrock:CreateModelInvocationJob", (JOBS,)),
        Permission("bedrock:CreateModelInvocationJob", (f"{MODEL}/amazon.titan-embed-text-v2:0",)),
        Permission("bedrock:GetModelInvocationJob", (JOBS,)),
        *invoke("amazon.titan-embed-text-v2:0"),
        Permission("bedrock:StopModelInvocationJob", (JOBS,)),
        Permission(
            "iam:PassRole",
            ("arn:aws:iam::111122223333:role/opensearch-bedrock-batch-role",),
            {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
        ),
    ],
    "bedrock_titan_embedding": invoke("amazon.titan-embed-text-v2:0"),
    "bedrock_titan_embedding_painless": invoke("amazon.titan-embed-text-v1"),
    "bedrock_titan_multimodal_embedding": invoke("amazon.titan-embed-image-v1"),
    "comprehend_language": [Permission("comprehend:DetectDominantLanguage", ("*",))],
    "openai_embedding_secrets_manager": [Permission("secretsmanager:GetSecretValue", (SECRET,))],
    "sagemaker_async": [Permission("sagemaker:InvokeEndpointAsync", (f"{ENDPOINT}/opensearch-async",))],
    "sagemaker_batch_transform": [Permission("sagemaker:InvokeEndpoint", (f"{ENDPOINT}/opensearch-embedding",))],
    "sagemaker_embedding": [Permission("sagemaker:InvokeEndpoint", (f"{ENDPOINT}/opensearch-embedding",))],
    "sagemaker_question_answering": [
        Permission("sagemaker:InvokeEndpoint", (f"{ENDPOINT}/opensearch-question-answering",))
    ],
    "sagemaker_sparse_encoding": [Permission("sagemaker:InvokeEndpoint", (f"{ENDPOINT}/opensearch-sparse",))],
    "textract_text": [Permission("textract:DetectDocumentText", ("*",))],
}
NAMES_OF_ROLES = {
    "bedrock": "opensearch-bedrock-role",
    "comprehend": "opensearch-comprehend-role",
    "openai": "opensearch-secretmanager-role",
    "sagemaker": "opensearch-sagemaker-role",
    "textract": "opensearch-textract-role",
}
# What the issue asks for at least; a platform's name is what its blueprints' names begin with.
PLATFORMS = {
    "aleph_alpha": {"embedding"},
    "azure_openai": {"chat", "embedding"},
    "bedrock": {
        *("claude_chat", "cohere_embedding", "converse_chat", "deepseek_chat", "jamba_chat", "nova_chat"),
        *("nova_embedding", "rerank", "titan_batch", "titan_embedding", "titan_embedding_painless"),
        "titan_multimodal_embedding",
    },
    "cohere": {"chat", "embedding", "embedding_v2", "multimodal_embedding", "rerank"},
    "comprehend": {"language"},
    "deepseek": {"chat"},
    "gemini": {"chat", "embedding"},
    "jina": {"embedding", "rerank"},
    "mcp": {"sse", "streamable_http"},
    "mistral": {"chat", "embedding"},
    "ollama": {"chat", "embedding"},
    "openai": {"chat", "completion", "embedding", "embedding_secrets_manager"},
    "sagemaker": {
        *("async", "batch_transform", "embedding", "embedding_static_keys", "question_answering"),
        "sparse_encoding",
    },
    "textract": {"text"},
    "vertex_ai": {"embedding"},
    "voyageai": {"embedding"},
    "yandex": {"completion", "embedding"},
}
SCHEMA_LINE = "# yaml-language-server: $schema=../schema/blueprint.schema.json\n"


def blueprint(name: str, domain_arn: DomainArn = FRANKFURT) -> Blueprint:
    return CATALOG.blueprint(name, domain_arn=domain_arn)


def test_every_documented_platform_is_there() -> None:
    wanted = {f"{platform}_{task}" for platform, tasks in PLATFORMS.items() for task in tasks}
    assert set(CATALOG.blueprint_names()) == wanted


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_file_of_the_catalog_tells_editors_its_schema_and_people_what_it_is(name: str) -> None:
    text = (INCLUDE / "blueprints" / f"{name}.yaml").read_text()
    assert text.startswith(f"{SCHEMA_LINE}# ")


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_blueprint_of_the_catalog_is_valid_with_its_defaults(name: str) -> None:
    found = blueprint(name)
    assert found.connector.references or "roleArn" in found.connector.credential
    assert all(trusted_endpoints.covers(pattern, url) for pattern, url in found.trusted)
    # A blueprint without a smoke test would be deployed unproved.
    assert found.connector.is_mcp or found.smoke_test
    # Without these an older server waits for hours: its default of 30000 counts as seconds.
    client = found.connector.client_config
    assert found.connector.is_mcp or (client and client.connection_timeout and client.read_timeout)
    assert found.connector.description
    assert found.connector.is_mcp or found.model.description


@pytest.mark.parametrize("name", CATALOG.blueprint_names())
def test_a_blueprint_says_from_which_version_on_it_works(name: str) -> None:
    text = (INCLUDE / "blueprints" / f"{name}.yaml").read_text().replace("\n# ", " ")
    said = re.findall(r"OpenSearch ([\d.]+) and later", text)
    needed = [
        re.findall(r"needs OpenSearch ([\d.]+)", one.problem)[0] for one in versions.findings(blueprint(name), ())
    ]
    newest = max((tuple(map(int, version.split("."))) for version in needed), default=())
    # All but MCP's need 2.13, for their time-outs; only a newer one is worth a word.
    assert said == ([".".join(map(str, newest))] if newest > (2, 13) else [])


@pytest.mark.parametrize("name", sorted(set(CATALOG.blueprint_names()) - set(ROLES)))
def test_a_blueprint_without_a_role_needs_no_domain(name: str) -> None:
    assert "roleArn" not in CATALOG.blueprint(name).connector.credential


@pytest.mark.parametrize("name", ROLES)
def test_a_blueprint_with_a_role_tells_all_that_the_role_must_be_allowed(name: str) -> None:
    found = blueprint(name)
    role = role_for(found, FRANKFURT)
    assert role is not None
    assert (role.name, role.manage) == (NAMES_OF_ROLES[name.partition("_")[0]], True)
    assert permissions.required(found, FRANKFURT.account_id, FRANKFURT.partition) == ROLES[name]
    assert permissions.underivable(found) == []


@pytest.mark.parametrize("name", ROLES)
def test_a_blueprint_with_a_role_follows_its_domain_to_another_partition(name: str) -> None:
    found = blueprint(name, BEIJING)
    hosts = {re.sub(r"^https://([^/]+).*", r"\1", url) for url in found.connector.urls}
    role_arn = found.connector.credential["roleArn"]
    assert isinstance(role_arn, str)
    assert role_arn.startswith("arn:aws-cn:iam::111122223333:role/")
    assert all(host.endswith(".cn-north-1.amazonaws.com.cn") or host == "api.openai.com" for host in hosts)


def test_a_batch_transform_may_do_whatever_the_prefix_of_its_job_names() -> None:
    role = role_for(blueprint("sagemaker_batch_transform"), FRANKFURT)
    jobs = "arn:aws:sagemaker:eu-central-1:111122223333:transform-job/opensearch-*"
    assert role is not None
    assert {
        "Effect": "Allow",
        "Action": [f"sagemaker:{verb}TransformJob" for verb in ("Create", "Describe", "Stop")],
        "Resource": jobs,
    } in role.permissions["Statement"]


def test_the_painless_functions_are_the_documentations_own_verbatim() -> None:
    [action] = blueprint("bedrock_titan_embedding_painless").connector.actions
    [documented] = seeds.BEDROCK["actions"]
    functions = ("pre_process_function", "post_process_function")
    assert [getattr(action, name) for name in functions] == [documented[name] for name in functions]


def test_the_question_answering_body_is_the_aws_tutorials_own() -> None:
    [action] = blueprint("sagemaker_question_answering").connector.actions
    [documented] = seeds.SAGEMAKER_ROLE["actions"]
    assert action.request_body == documented["request_body"]


def test_every_target_is_valid() -> None:
    assert Catalog(INCLUDE / "blueprints", INCLUDE / "targets").targets() is not None
