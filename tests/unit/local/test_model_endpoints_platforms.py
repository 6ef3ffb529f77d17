"""The platforms beside OpenAI and Cohere, and what only some of their models take, over real HTTP."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from local.model_endpoints.keys import KEY_FAMILIES, bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from tests.support.signing import send, signed

KEY = "accepted-by-all"
AWS = ("AKIAEXAMPLE", "lasting/secret")
MESSAGES = [{"role": "user", "content": "hello"}]
AZURE = "/openai/deployments/mine"
VERTEX = "/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict"
SAID = "You said: hello"

Post = Callable[..., httpx.Response]


def png(text: str) -> str:
    """The smallest PNG that carries a text, in Base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    image = b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"Description\0" + text.encode()) + chunk(b"IEND", b"")
    return base64.b64encode(image).decode()


@pytest.fixture(scope="module")
def endpoints() -> Iterator[ModelEndpoints]:
    aws = [{"access_key_id": AWS[0], "secret_access_key": AWS[1]}]
    with start_model_endpoints(keys={**{family: [KEY] for family in KEY_FAMILIES}, "aws": aws}) as started:
        yield started


@pytest.fixture
def post(endpoints: ModelEndpoints) -> Post:
    def post(path: str, body: Any, **headers: str) -> httpx.Response:
        headers = headers or {"Authorization": f"Bearer {KEY}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(endpoints.url + path, json=body, headers=named, trust_env=False)

    return post


@pytest.fixture
def runtime(endpoints: ModelEndpoints) -> Any:
    """A client of boto3, which has no types."""
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=endpoints.url,
        region_name="us-east-1",
        aws_access_key_id=AWS[0],
        aws_secret_access_key=AWS[1],
        config=Config(retries={"total_max_attempts": 1}),
    )


def invoke(runtime: Any, model: str, body: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.load(runtime.invoke_model(modelId=model, body=json.dumps(body))["body"])
    return document


# OpenAI's API elsewhere


def test_azure_takes_its_own_header_and_asks_for_a_version(post: Post, endpoints: ModelEndpoints) -> None:
    endpoints.forget_requests()
    body = {"messages": MESSAGES}
    answer = post(f"{AZURE}/chat/completions?api-version=2024-10-21", body, api_key=KEY)
    assert answer.json()["choices"][0]["message"]["content"] == SAID
    assert post(f"{AZURE}/chat/completions", body, api_key=KEY).status_code == 404
    assert post(f"{AZURE}/embeddings?api-version=1", {"input": "a"}, api_key="another").status_code == 401
    assert endpoints.requests()[0].credential_fingerprint == bearer_fingerprint(KEY)


@pytest.mark.parametrize(
    ("model", "more", "size"),
    [
        ("voyage-3.5", {"output_dimension": 256}, 256),
        ("jina-embeddings-v3", {"dimensions": 64}, 64),
        ("mistral-embed", {}, 384),
        ("nomic-embed-text", {}, 384),
    ],
)
def test_other_makers_models_embed_by_openais_api(post: Post, model: str, more: dict[str, int], size: int) -> None:
    answer = post("/v1/embeddings", {"model": model, "input": ["a"], **more})
    assert len(answer.json()["data"][0]["embedding"]) == size


def test_jina_reranks_by_cohere_s_api(post: Post) -> None:
    body = {"model": "jina-reranker-v2-base-multilingual", "query": "bike", "documents": ["stock", "bicycle"]}
    assert post("/v1/rerank", body).json()["results"][0]["index"] == 1


# Google


def test_gemini_generates_and_embeds_with_its_key_in_its_header_alone(post: Post) -> None:
    contents = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    answer = post(path, contents, x_goog_api_key=KEY).json()
    assert answer["candidates"][0]["content"]["parts"] == [{"text": SAID}]
    refused = post(f"{path}?key={KEY}", contents)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    body = {"content": {"parts": [{"text": "hello"}]}, "outputDimensionality": 768}
    answer = post("/v1beta/models/gemini-embedding-001:embedContent", body, x_goog_api_key=KEY).json()
    assert len(answer["embedding"]["values"]) == 768


def test_vertex_embeds_with_an_access_token(post: Post) -> None:
    body = {"instances": [{"content": "a"}, {"content": "b"}], "parameters": {"outputDimensionality": 128}}
    predictions = post(VERTEX, body).json()["predictions"]
    assert [len(each["embeddings"]["values"]) for each in predictions] == [128, 128]
    refused = post(VERTEX, body, x_goog_api_key=KEY)
    assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert post(VERTEX.replace("text-embedding-005", "other"), body).status_code == 404


# Aleph Alpha and Yandex


def test_aleph_alpha_embeds_one_text(post: Post) -> None:
    body = {"model": "luminous-base", "prompt": "hello", "representation": "document"}
    assert len(post("/semantic_embed", body).json()["embedding"]) == 384
    assert post("/semantic_embed", {**body, "representation": "other"}).status_code == 400
    assert post("/semantic_embed", body, Authorization="Bearer another").status_code == 401


def test_yandex_takes_an_api_key_or_a_token_and_names_models_by_their_folder(post: Post) -> None:
    path, body = "/foundationModels/v1/textEmbedding", {"modelUri": "emb://folder/text-search-doc/latest", "text": "a"}
    for authorization in (f"Api-Key {KEY}", f"Bearer {KEY}"):
        assert len(post(path, body, Authorization=authorization).json()["embedding"]) == 256
    assert post(path, {**body, "modelUri": "text-search-doc"}).status_code == 400
    assert post(path, body, Authorization="Api-Key another").json()["error"]["grpcCode"] == 16
    messages = [{"role": "user", "text": "hello"}]
    asked = {"modelUri": "gpt://folder/yandexgpt-lite/latest", "messages": messages}
    answer = post("/foundationModels/v1/completion", {**asked, "completionOptions": {"maxTokens": "2"}}).json()
    [alternative] = answer["result"]["alternatives"]
    assert (alternative["message"]["text"], alternative["status"][-15:]) == ("You said:", "TRUNCATED_FINAL")


# Images


def test_an_image_is_embedded_by_what_it_says_of_itself(post: Post, runtime: Any) -> None:
    cohere = {"model": "embed-english-v3.0", "input_type": "image", "images": [f"data:image/png;base64,{png('a cat')}"]}
    texts = {"model": "embed-english-v3.0", "texts": ["a cat"]}
    wanted = post("/v1/embed", texts).json()["embeddings"][0]
    assert post("/v1/embed", cohere).json()["embeddings"][0] == wanted
    titan = {"inputImage": png("a cat"), "embeddingConfig": {"outputEmbeddingLength": 384}}
    assert invoke(runtime, "amazon.titan-embed-image-v1", titan)["embedding"] == wanted
    image = {"format": "png", "source": {"bytes": png("a cat")}}
    nova = {"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 384, "image": image}
    body = {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": nova}
    [answer] = invoke(runtime, "amazon.nova-2-multimodal-embeddings-v1:0", body)["embeddings"]
    assert answer == {"embeddingType": "IMAGE", "embedding": wanted}


@pytest.mark.parametrize("image", ["no data URL", "data:image/png;base64,bm8gcG5n", "data:image/png;base64,%"])
def test_what_is_no_png_is_refused(post: Post, image: str) -> None:
    body = {"model": "embed-english-v3.0", "input_type": "image", "images": [image]}
    assert post("/v1/embed", body).status_code == 400


# Bedrock


@pytest.mark.parametrize(
    ("model", "body", "path"),
    [
        ("us.amazon.nova-lite-v1:0", {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}, "output"),
        ("ai21.jamba-1-5-mini-v1:0", {"messages": MESSAGES}, "choices"),
        ("us.deepseek.r1-v1:0", {"prompt": "hello", "max_tokens": 9}, "choices"),
    ],
)
def test_bedrock_models_of_several_makers_answer_in_their_own_shape(
    runtime: Any, model: str, body: dict[str, Any], path: str
) -> None:
    assert SAID in json.dumps(invoke(runtime, model, body)[path])


def test_nova_takes_one_kind_of_input_and_the_sizes_it_knows(runtime: Any) -> None:
    model = "amazon.nova-2-multimodal-embeddings-v1:0"
    text = {"truncationMode": "END", "value": "a"}
    for asked in (
        {"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 384},
        {"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 100, "text": text},
        {"embeddingPurpose": "GENERIC_INDEX", "text": text, "image": {}},
        {"text": text},
    ):
        with pytest.raises(runtime.exceptions.ValidationException):
            invoke(runtime, model, {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": asked})


def test_bedrock_reranks(endpoints: ModelEndpoints) -> None:
    client = boto3.client(
        "bedrock-agent-runtime",
        endpoint_url=endpoints.url,
        region_name="us-east-1",
        aws_access_key_id=AWS[0],
        aws_secret_access_key=AWS[1],
    )
    sources = [
        {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
        for text in ("The stock market fell.", "He repairs bicycles.")
    ]
    model = {"modelArn": "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0"}
    answer = client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "Who can fix my bike?"}}],
        sources=sources,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": model, "numberOfResults": 1},
        },
    )
    assert [result["index"] for result in answer["results"]] == [1]


# Batch jobs


def test_a_bedrock_job_is_created_told_and_stopped_once(endpoints: ModelEndpoints) -> None:
    client = boto3.client(
        "bedrock",
        endpoint_url=endpoints.url,
        region_name="us-east-1",
        aws_access_key_id=AWS[0],
        aws_secret_access_key=AWS[1],
    )
    job = client.create_model_invocation_job(
        jobName="j",
        roleArn="arn:aws:iam::123456789012:role/r",
        modelId="amazon.titan-embed-text-v2:0",
        inputDataConfig={"s3InputDataConfig": {"s3Uri": "s3://bucket/in"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
    )["jobArn"]
    assert client.get_model_invocation_job(jobIdentifier=job)["status"] == "InProgress"
    client.stop_model_invocation_job(jobIdentifier=job)
    assert client.get_model_invocation_job(jobIdentifier=job)["status"] == "Stopped"
    with pytest.raises(client.exceptions.ConflictException):
        client.stop_model_invocation_job(jobIdentifier=job)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_model_invocation_job(jobIdentifier="abcdefabcdef")


def test_a_transform_job_is_created_told_and_stopped_once(endpoints: ModelEndpoints) -> None:
    def call(operation: str, **body: Any) -> httpx.Response:
        request = signed(f"{endpoints.url}/{operation}", json.dumps(body), service="sagemaker", credentials=AWS)
        return send(request)

    fields = {name: {"a": 1} for name in ("TransformInput", "TransformOutput", "TransformResources")}
    created = call("CreateTransformJob", TransformJobName="J", ModelName="m", **fields)
    assert created.json()["TransformJobArn"].endswith(":transform-job/j")
    assert call("CreateTransformJob", TransformJobName="J", ModelName="m", **fields).status_code == 400
    assert call("DescribeTransformJob", TransformJobName="J").json()["TransformJobStatus"] == "InProgress"
    stopped = call("StopTransformJob", TransformJobName="J")
    assert (stopped.status_code, stopped.content) == (200, b"")
    assert call("DescribeTransformJob", TransformJobName="J").json()["TransformJobStatus"] == "Stopped"
    assert call("StopTransformJob", TransformJobName="J").status_code == 400
    assert call("DescribeTransformJob", TransformJobName="other").status_code == 400


def test_a_sparse_endpoint_answers_weights_of_words(endpoints: ModelEndpoints) -> None:
    url = f"{endpoints.url}/endpoints/my-sparse/invocations"
    answer = send(signed(url, '["cats and cats"]', service="sagemaker", credentials=AWS)).json()
    assert list(answer[0]) == ["cats", "and"]
    assert answer[0]["cats"] > answer[0]["and"] > 0
