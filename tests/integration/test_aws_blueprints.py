"""Every AWS blueprint of the catalog on the real server of each version, with keys in place of the role.

The open-source server assumes no role, so the role's place is taken by what a self-managed cluster uses: a lasting key,
or a session's with its token. The rest of the blueprint is the catalog's own, and the endpoint verifies the signature.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.model_endpoints.keys import AwsKey, aws_fingerprint, bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml import credentials
from opensearch_ml.arns import DomainArn
from opensearch_ml.blueprint import Blueprint
from opensearch_ml.catalog import Catalog
from opensearch_ml.hook import OpenSearchMLHook
from tests.conftest import OPENAI_KEY, REPOSITORY, Cluster, connections
from tests.integration.conftest import provision

DOMAIN_ARN = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
LASTING = AwsKey("AKIALASTINGEXAMPLE", "lasting/secret")
OF_A_SESSION = AwsKey("ASIASESSIONEXAMPLE", "session+secret", "token/with+signs==")
# The family of model endpoints that a blueprint calls; those have embeddings of 384 dimensions, whatever the model.
FAMILIES = {
    "bedrock_titan_embedding": "bedrock",
    "bedrock_titan_embedding_painless": "bedrock",
    "comprehend_language": "comprehend",
    "sagemaker_async": "sagemaker",
    "sagemaker_embedding": "sagemaker",
    "sagemaker_embedding_static_keys": "sagemaker",
    "sagemaker_question_answering": "sagemaker",
    "textract_text": "textract",
}
SIZES = {"bedrock_titan_embedding": 512}


@pytest.fixture
def catalog(tmp_path: Path, endpoints: ModelEndpoints) -> Catalog:
    """The repository's own blueprints, with every platform at the model endpoints."""
    (tmp_path / "targets").mkdir()
    return Catalog(REPOSITORY / "include" / "blueprints", tmp_path / "targets")


def blueprint_of(catalog: Catalog, name: str, endpoints: ModelEndpoints, **credential: Any) -> dict[str, Any]:
    """A blueprint's document with its URLs at the model endpoints and its role replaced."""
    urls = {f"{platform}_url": endpoints.url for platform in ("openai", *FAMILIES.values())}
    target = {
        "opensearch_conn_id": "opensearch_default",
        "variables": {**urls, "dimension": SIZES.get(name, 384)},
    }
    (catalog.targets_folder / "tests.yaml").write_text(yaml.safe_dump(target))
    filled = catalog.blueprint(name, domain_arn=DOMAIN_ARN)
    document = filled.model_dump(by_alias=True, exclude_unset=True, exclude={"name", "variables", "iam_role"})
    document["connector"]["credential"] = credential
    return document


def reference(field: str) -> dict[str, str]:
    return {"conn_id": "aws_default", "field": field}


def aws_connection(key: AwsKey) -> str:
    extra = {"aws_session_token": key.session_token} if key.session_token else {}
    return json.dumps(
        {"conn_type": "aws", "login": key.access_key_id, "password": key.secret_access_key, "extra": extra}
    )


def with_keys(catalog: Catalog, name: str, endpoints: ModelEndpoints, key: AwsKey) -> Blueprint:
    """A blueprint that signs with the key of connection aws_default, which the endpoints accept."""
    endpoints.accept_keys({"aws": [vars(key)]})
    credential = {"access_key": reference("login"), "secret_key": reference("password")}
    if key.session_token:
        credential["session_token"] = reference("extra.aws_session_token")
    return Blueprint.parse(name, blueprint_of(catalog, name, endpoints, **credential), source=name)


@pytest.mark.parametrize("key", [LASTING, OF_A_SESSION], ids=["lasting", "session"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_blueprint_answers_its_smoke_test_with_a_signature_that_is_verified(
    hook: OpenSearchMLHook, endpoints: ModelEndpoints, catalog: Catalog, name: str, key: AwsKey
) -> None:
    blueprint = with_keys(catalog, name, endpoints, key)
    with connections(aws_default=aws_connection(key)):
        provision(hook, blueprint, credentials.resolve(blueprint, hook))
    assert [(r.family, r.status, r.credential_fingerprint) for r in endpoints.requests()] == [
        (FAMILIES[name], 200 if name != "sagemaker_async" else 202, aws_fingerprint(key))
    ]


@pytest.mark.parametrize("name", ["bedrock_titan_embedding", "bedrock_titan_embedding_painless", "sagemaker_embedding"])
def test_an_embedding_takes_texts_as_ingestion_and_search_send_them(
    hook: OpenSearchMLHook, cluster: Cluster, endpoints: ModelEndpoints, catalog: Catalog, name: str
) -> None:
    blueprint = with_keys(catalog, name, endpoints, LASTING)
    with connections(aws_default=aws_connection(LASTING)):
        model_id = provision(hook, blueprint, credentials.resolve(blueprint, hook))
    for text in ("A plain text.", 'One with "quotes".'):
        body = {"text_docs": [text], "target_response": ["sentence_embedding"]}
        answer = cluster.request("POST", f"/_plugins/_ml/_predict/text_embedding/{model_id}", json=body).json()
        [output] = answer["inference_results"][0]["output"]
        assert len(output["data"]) == SIZES.get(name, 384)


def test_the_secrets_manager_blueprint_answers_with_the_key_that_the_service_would_read(
    hook: OpenSearchMLHook, endpoints: ModelEndpoints, catalog: Catalog
) -> None:
    name = "openai_embedding_secrets_manager"
    key = {"conn_id": "openai_default", "field": "password"}
    document = blueprint_of(catalog, name, endpoints, openai_key=key)
    headers = document["connector"]["actions"][0]["headers"]
    headers["Authorization"] = headers["Authorization"].replace("credential.secretArn.", "credential.")
    blueprint = Blueprint.parse(name, document, source=name)
    provision(hook, blueprint, {"openai_key": OPENAI_KEY})
    assert [(r.status, r.credential_fingerprint) for r in endpoints.requests()] == [
        (200, bearer_fingerprint(OPENAI_KEY))
    ]


def test_every_blueprint_with_a_role_is_proved_here() -> None:
    catalog = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "no_targets")
    with_aws = {
        name
        for name in catalog.blueprint_names()
        if catalog.blueprint(name, domain_arn=DOMAIN_ARN).connector.protocol == "aws_sigv4"
    }
    assert with_aws == set(FAMILIES)
