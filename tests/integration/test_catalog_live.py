"""Every blueprint of the catalog on the real server of each version: created, given back without drift, and answering.

The open-source server assumes no role, so the role's place is taken by what a self-managed cluster uses: a lasting key,
or a session's with its token. The rest of a blueprint is the catalog's own, and the model endpoints verify key or
signature. What only a newer server knows is left out where `versions` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.aws_key import AwsKey
from local.distribution import VERSIONS
from local.model_endpoints.keys import KEY_FAMILIES, aws_fingerprint, bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.checks import versions
from opensearch_ml.credentials import resolver
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.resources import canonical
from opensearch_ml.steps.cluster_settings import ensure_ml_settings, ensure_trusted_endpoints
from opensearch_ml.steps.connector import delete_connectors, ensure_connector, ours
from tests.support.catalog_blueprints import DOMAIN_ARN, LASTING, OF_A_SESSION, own, with_keys
from tests.support.cluster import OPENAI_KEY, Cluster, connections
from tests.support.provisioning import prepare, provision
from tests.support.repository import BLUEPRINTS, REPOSITORY

pytestmark = pytest.mark.slow

# The family of model endpoints that answers for a platform, if it is not called like it.
FAMILIES = {
    **dict.fromkeys(("azure", "deepseek", "mistral", "ollama", "voyageai"), "openai"),
    **dict.fromkeys(("gemini", "vertex"), "google"),
    **{"jina_embedding": "openai", "jina_rerank": "cohere", "aleph": "aleph_alpha"},
}
AWS_FAMILIES = ("bedrock", "comprehend", "sagemaker", "textract")
SIZES = {"bedrock_titan_embedding": 512, "bedrock_titan_batch": 512, "yandex_embedding": 256}
EMBEDDED = 384  # whatever else is asked for
NO_PRIVATE_JOBS = (3, 0)
MCP_ENABLED = {"plugins.ml_commons.mcp_connector_enabled": True}
TEXTS = ["A plain text.", 'One with "quotes", a \\ and a\nsecond line.']


def family_of(name: str) -> str:
    platform = name.partition("_")[0]
    return FAMILIES.get(name) or FAMILIES.get(platform, platform)


def on_versions() -> list[Any]:
    """Every blueprint on each version that knows all of it."""
    names = Catalog(BLUEPRINTS, REPOSITORY / "no_targets").blueprint_names()
    return [
        pytest.param(version, name, id=f"{version}-{name}")
        for version in VERSIONS
        for name in names
        if not versions.findings(own(name), tuple(map(int, version.split("."))))
    ]


ALL = on_versions()
ANSWERING = [each for each in ALL if not own(each.values[1]).connector.is_mcp]


@contextmanager
def its_connections(blueprint: Blueprint, key: AwsKey) -> Iterator[None]:
    """The connections that a blueprint refers to, each with what the model endpoints accept."""
    extra = {"aws_session_token": key.session_token} if key.session_token else {}
    aws = {"conn_type": "aws", "login": key.access_key_id, "password": key.secret_access_key, "extra": extra}
    wanted = {str(reference.conn_id) for reference in blueprint.connector.references.values()}
    values = {conn_id: aws if conn_id == "aws_default" else {"password": OPENAI_KEY} for conn_id in wanted}
    with connections(**{conn_id: json.dumps({"conn_type": "http", **value}) for conn_id, value in values.items()}):
        yield


@pytest.fixture(scope="module")
def server(start_cluster: Callable[[str], Cluster], _endpoints: ModelEndpoints) -> Iterator[Callable[[str], Cluster]]:
    """Gives the cluster of a version, clean when it is first asked for and when this module ends, not in between.

    It trusts from the beginning what all blueprints need: each by itself would be one more write of the whole list.
    """
    given: dict[str, Cluster] = {}
    needed = {pair for each in ALL for pair in own(str(each.values[1])).trusted}
    anything = trusted_endpoints.derive(f"{_endpoints.url}/${{parameters.path}}", {}).replace("[^/?#]+", ".*")

    def get(version: str) -> Cluster:
        if version not in given:
            cluster = given[version] = start_cluster(version)
            cluster.clean()
            with connections(opensearch_default=cluster.connection()):
                ensure_trusted_endpoints(OpenSearchMLHook(), sorted({*needed, (anything, f"{_endpoints.url}/v1")}))
        return given[version]

    yield get
    for cluster in given.values():
        cluster.clean()


@pytest.fixture
def hook(server: Callable[[str], Cluster], version: str) -> Iterator[OpenSearchMLHook]:
    with connections(opensearch_default=server(version).connection()):
        yield OpenSearchMLHook()


@pytest.fixture
def at_endpoints(tmp_path: Path, endpoints: ModelEndpoints) -> Callable[..., Blueprint]:
    """Gives a blueprint of the catalog with every platform at the model endpoints, which accept its key."""
    keys = [vars(key) for key in (LASTING, OF_A_SESSION)]
    endpoints.replace_keys({**{family: [OPENAI_KEY] for family in KEY_FAMILIES}, "aws": keys})

    def get(name: str, key: AwsKey = LASTING) -> Blueprint:
        catalog = Catalog(BLUEPRINTS, tmp_path)
        urls = {variable: endpoints.url for variable in own(name).variables if variable.endswith("_url")}
        target = {
            "opensearch_conn_id": "opensearch_default",
            "variables": {**urls, "dimension": SIZES.get(name, EMBEDDED)},
        }
        (tmp_path / "tests.yaml").write_text(yaml.safe_dump(target))
        return with_keys(catalog.blueprint(name, domain_arn=DOMAIN_ARN), key)

    return get


@pytest.mark.parametrize(("version", "name"), ALL)
def test_a_blueprint_is_created_with_its_own_urls_and_given_back_without_drift(
    hook: OpenSearchMLHook, name: str
) -> None:
    blueprint = with_keys(own(name), LASTING)
    prepare(hook, blueprint)
    if blueprint.connector.is_mcp:
        ensure_ml_settings(hook, MCP_ENABLED)
    with its_connections(blueprint, LASTING):
        credential = resolver.resolve(blueprint, hook)
    connector_id = ensure_connector(hook, blueprint, credential).id
    found = hook.get_connector(connector_id)
    assert found is not None
    assert canonical.differences(blueprint, credential, found, hook.version) == ()
    hook.delete_connector(connector_id)


@pytest.mark.parametrize(("version", "name"), [each for each in ALL if each not in ANSWERING])
def test_a_source_of_tools_is_created_updated_and_deleted(hook: OpenSearchMLHook, name: str) -> None:
    blueprint = own(name)
    prepare(hook, blueprint)
    ensure_ml_settings(hook, MCP_ENABLED)
    with its_connections(blueprint, LASTING):
        credential = resolver.resolve(blueprint, hook)
    created = ensure_connector(hook, blueprint, credential)
    assert not ensure_connector(hook, blueprint, credential)
    changed = blueprint.connector.model_copy(update={"description": "Other tools"})
    updated = ensure_connector(hook, blueprint.model_copy(update={"connector": changed}), credential)
    assert updated.id != created.id
    assert [found["description"] for found in ours(hook, name)] == ["Other tools"]
    delete_connectors(hook, name)
    assert ours(hook, name) == []


@pytest.mark.parametrize(("version", "name"), ANSWERING)
def test_a_blueprint_answers_its_smoke_test_and_what_ingestion_and_search_send(
    hook: OpenSearchMLHook,
    server: Callable[[str], Cluster],
    endpoints: ModelEndpoints,
    at_endpoints: Callable[..., Blueprint],
    version: str,
    name: str,
) -> None:
    blueprint = at_endpoints(name)
    with its_connections(blueprint, LASTING):
        credential = resolver.resolve(blueprint, hook)
    model_id = provision(hook, blueprint, credential)
    key = aws_fingerprint(LASTING) if family_of(name) in AWS_FAMILIES else bearer_fingerprint(OPENAI_KEY)
    assert [(r.family, r.status, r.credential_fingerprint) for r in endpoints.requests()] == [
        (family_of(name), 202 if name == "sagemaker_async" else 200, key)
    ]
    if blueprint.connector.actions[0].pre_process_function:
        _is_used_by_search(server(version), blueprint, model_id)


def _is_used_by_search(cluster: Cluster, blueprint: Blueprint, model_id: str) -> None:
    """Call the model as processors and queries do, whose texts its pre-process function has to fit in."""
    function = str(blueprint.connector.actions[0].pre_process_function)
    body: dict[str, Any] = {"text_docs": TEXTS}
    kind, texts = "text_embedding", len(TEXTS)
    if function.endswith(".rerank"):
        kind, body["query_text"] = "text_similarity", TEXTS[0]
    elif blueprint.name == "sagemaker_sparse_encoding":
        kind, texts = "sparse_encoding", 1  # one answer for all texts
    elif blueprint.name == "cohere_multimodal_embedding":
        assert blueprint.smoke_test
        body, texts = {"text_docs": blueprint.smoke_test.parameters["images"]}, 1
    elif "multimodal" in blueprint.name:
        body, texts = {"text_docs": TEXTS[:1]}, 1
    answer = cluster.request("POST", f"/_plugins/_ml/_predict/{kind}/{model_id}", json=body)
    assert answer.status_code == 200, answer.text
    outputs = [output for result in answer.json()["inference_results"] for output in result["output"]]
    assert len(outputs) == texts, answer.text
    if kind == "text_embedding":
        assert {len(output["data"]) for output in outputs} == {SIZES.get(blueprint.name, EMBEDDED)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["bedrock_titan_embedding", "comprehend_language", "sagemaker_async", "textract_text"])
def test_a_blueprint_signs_with_a_sessions_token_too(
    hook: OpenSearchMLHook, endpoints: ModelEndpoints, at_endpoints: Callable[..., Blueprint], name: str
) -> None:
    blueprint = at_endpoints(name, OF_A_SESSION).model_copy(update={"name": f"{name}_of_a_session"})
    with its_connections(blueprint, OF_A_SESSION):
        provision(hook, blueprint, resolver.resolve(blueprint, hook))
    assert {r.credential_fingerprint for r in endpoints.requests()} == {aws_fingerprint(OF_A_SESSION)}


# What each call of _batch_predict gives, and where the service's own answer says how the job is.
BATCHES = {
    "bedrock_titan_batch": ("jobName", "status"),
    "sagemaker_batch_transform": ("TransformJobName", "TransformJobStatus"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_started_asked_about_and_cancelled(
    hook: OpenSearchMLHook,
    server: Callable[[str], Cluster],
    at_endpoints: Callable[..., Blueprint],
    version: str,
    name: str,
) -> None:
    cluster, (name_field, status_field) = server(version), BATCHES[name]
    blueprint = at_endpoints(name).model_copy(update={"name": f"{name}_job"})
    with its_connections(blueprint, LASTING):
        model_id = provision(hook, blueprint, resolver.resolve(blueprint, hook))
    body = {"parameters": {name_field: f"opensearch-{version.replace('.', '-')}"}}
    started = cluster.request("POST", f"/_plugins/_ml/models/{model_id}/_batch_predict", json=body)
    assert started.status_code == 200, started.text
    path = f"/_plugins/_ml/tasks/{started.json()['task_id']}"
    if hook.version >= NO_PRIVATE_JOBS:
        # This server asks about no job at a private address, whatever the setting says that lets it predict at one.
        assert "private ip address" in cluster.request("GET", path).text
        return
    running = cluster.get(path)
    cluster.request("POST", f"{path}/_cancel").raise_for_status()
    stopped = cluster.get(path)
    states = [(task["state"], task["remote_job"][status_field]) for task in (running, stopped)]
    assert states == [("RUNNING", "InProgress"), ("CANCELLED", "Stopped")]
