"""Google's models: the Gemini API with an API key in its own header, and Vertex AI with an access token.

Source: https://ai.google.dev/api (generateContent, embedContent), and Vertex AI's "Get text embeddings".
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import chat, count_tokens, embed, message_text, resize_without_norm
from local.model_endpoints.api import ApiError, ApiFamily, Call, required
from local.model_endpoints.bearer import bearer_key
from local.model_endpoints.keys import NO_CREDENTIAL, AcceptedKeys, bearer_fingerprint

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_NO_ACCESS = "Request had invalid authentication credentials. Expected OAuth 2 access token."
_NO_KEY = "API key not valid. Please pass a valid API key."


async def _generate_content(call: Call) -> Response:
    _check_model(call, "gemini-")
    request = call.json_object()
    contents = required(request, "contents", "* GenerateContentRequest.contents: contents is not specified")
    asked = [message_text(content["parts"]) for content in contents]
    text, cut = chat(asked[-1], request.get("generationConfig", {}).get("maxOutputTokens"))
    tokens = {"promptTokenCount": count_tokens(*asked), "candidatesTokenCount": count_tokens(text)}
    candidate = {
        "content": {"parts": [{"text": text}], "role": "model"},
        "finishReason": "MAX_TOKENS" if cut else "STOP",
        "index": 0,
    }
    usage = {**tokens, "totalTokenCount": sum(tokens.values())}
    model = call.parameters["model"]
    return JSONResponse({"candidates": [candidate], "usageMetadata": usage, "modelVersion": model})


async def _embed_content(call: Call) -> Response:
    _check_model(call, "gemini-embedding-", "text-embedding-")
    request = call.json_object()
    content = required(request, "content", "* EmbedContentRequest.content: content is not specified")
    [vector] = await _embed(call, [message_text(content["parts"])], request.get("outputDimensionality"))
    return JSONResponse({"embedding": {"values": vector}})


async def _predict(call: Call) -> Response:
    _check_model(call, "gemini-embedding-", "text-embedding-", "text-multilingual-embedding-")
    request = call.json_object()
    instances = required(request, "instances", "Empty instances.")
    texts = [instance["content"] for instance in instances]
    vectors = await _embed(call, texts, request.get("parameters", {}).get("outputDimensionality"))
    predictions = [
        {"embeddings": {"values": vector, "statistics": {"token_count": count_tokens(text), "truncated": False}}}
        for text, vector in zip(texts, vectors, strict=True)
    ]
    return JSONResponse({"predictions": predictions})


async def _embed(call: Call, texts: list[str], dimensions: int | None) -> list[list[float]]:
    vectors = await embed(texts, dimensions)
    return vectors if call.dimension is None else [resize_without_norm(vector, call.dimension) for vector in vectors]


def _check_model(call: Call, *prefixes: str) -> None:
    model = call.parameters["model"]
    if not model.startswith(prefixes):
        raise ApiError(404, f"models/{model} is not found, or is not supported for this method.")


def _is_vertex(call: Call) -> bool:
    return call.path.startswith("/v1/projects/")


def _fingerprint(headers: Headers) -> str:
    key = headers.get("x-goog-api-key") or bearer_key(headers)
    return bearer_fingerprint(key) if key else NO_CREDENTIAL


async def _authenticate(call: Call, keys: AcceptedKeys) -> None:
    if _is_vertex(call):
        if not keys.accepts("google", bearer_key(call.headers)):
            raise ApiError(401, _NO_ACCESS)
    elif not keys.accepts("google", call.headers.get("x-goog-api-key", "")):
        raise ApiError(400, _NO_KEY)


def _fault(status: int) -> ApiError:
    return ApiError(status, f"The request failed with status {status}.")


def _error_response(error: ApiError) -> Response:
    body: dict[str, Any] = {"code": error.status, "message": error.message}
    return JSONResponse({"error": {**body, "status": _STATUSES.get(error.status, "UNKNOWN")}}, error.status)


_VERTEX = "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}"

GOOGLE = ApiFamily(
    name="google",
    routes={
        "/v1beta/models/{model}:generateContent": _generate_content,
        "/v1beta/models/{model}:embedContent": _embed_content,
        f"{_VERTEX}:predict": _predict,
    },
    fingerprint=_fingerprint,
    authenticate=_authenticate,
    fault=_fault,
    error_response=_error_response,
)
