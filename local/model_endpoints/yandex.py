"""Yandex Cloud's foundation models: text embeddings and text generation. A model is named by a URI with its folder.

Source: https://yandex.cloud/en/docs/foundation-models/ (text generation and embeddings, REST).
"""

from __future__ import annotations

import re
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import chat, count_tokens, embed
from local.model_endpoints.api import ApiError, ApiFamily, Call, required
from local.model_endpoints.bearer import bearer_key
from local.model_endpoints.keys import NO_CREDENTIAL, AcceptedKeys, bearer_fingerprint

_DIMENSIONS = 256
_MODEL_VERSION = "latest"
_FAULTS = {
    401: (16, "Unknown api key"),
    429: (8, "ai.textGenerationCompletionSessionsCount.count limit exceeded"),
}
_INVALID_ARGUMENT, _INTERNAL = 3, 13  # of gRPC, which the error's body carries


async def _text_embedding(call: Call) -> Response:
    request = call.json_object()
    _check_model(request, "emb")
    text = required(request, "text", "Text must not be empty")
    [vector] = await embed([text], call.dimension or _DIMENSIONS)
    # The API is gRPC behind HTTP: its 64 bit numbers are texts.
    return JSONResponse({"embedding": vector, "numTokens": str(count_tokens(text)), "modelVersion": _MODEL_VERSION})


async def _completion(call: Call) -> Response:
    request = call.json_object()
    _check_model(request, "gpt")
    messages = required(request, "messages", "Messages must not be empty")
    asked = [message["text"] for message in messages]
    limit = request.get("completionOptions", {}).get("maxTokens")
    text, cut = chat(asked[-1], int(limit) if limit else None)
    status = "ALTERNATIVE_STATUS_TRUNCATED_FINAL" if cut else "ALTERNATIVE_STATUS_FINAL"
    tokens = {"inputTextTokens": count_tokens(*asked), "completionTokens": count_tokens(text)}
    usage = {name: str(count) for name, count in {**tokens, "totalTokens": sum(tokens.values())}.items()}
    alternative = {"message": {"role": "assistant", "text": text}, "status": status}
    return JSONResponse({"result": {"alternatives": [alternative], "usage": usage, "modelVersion": _MODEL_VERSION}})


def _check_model(request: dict[str, Any], scheme: str) -> None:
    uri = str(required(request, "modelUri", "Model URI must not be empty"))
    if not re.fullmatch(rf"{scheme}://[^/]+/[^/]+(/[^/]+)?", uri):
        raise ApiError(400, f"Invalid model_uri {uri!r}")


def _key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "api-key" else bearer_key(headers)  # the latter is an IAM token


def _fingerprint(headers: Headers) -> str:
    key = _key(headers)
    return bearer_fingerprint(key) if key else NO_CREDENTIAL


async def _authenticate(call: Call, keys: AcceptedKeys) -> None:
    if not keys.accepts("yandex", _key(call.headers)):
        raise _fault(401)


def _fault(status: int) -> ApiError:
    return ApiError(status, _FAULTS.get(status, (_INTERNAL, f"The request failed with status {status}."))[1])


def _error_response(error: ApiError) -> Response:
    code = _FAULTS.get(error.status, (_INVALID_ARGUMENT if error.status == 400 else _INTERNAL, ""))[0]
    body = {"error": {"grpcCode": code, "httpCode": error.status, "message": error.message, "details": []}}
    return JSONResponse(body, error.status)


YANDEX = ApiFamily(
    name="yandex",
    routes={
        "/foundationModels/v1/textEmbedding": _text_embedding,
        "/foundationModels/v1/completion": _completion,
    },
    fingerprint=_fingerprint,
    authenticate=_authenticate,
    fault=_fault,
    error_response=_error_response,
)
