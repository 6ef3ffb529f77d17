"""Cohere's API, versions 1 and 2: embed, rerank and chat. Bedrock's Cohere models answer with the same bodies, and
Jina's rerank is called and answers like version 1.

Source: https://docs.cohere.com/reference/about and https://docs.cohere.com/reference/errors.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import (
    base64_floats,
    chat,
    count_tokens,
    embed,
    message_text,
    resize_without_norm,
    similarities,
)
from local.model_endpoints.api import ApiError, ApiFamily, Call, refuse_stream, required
from local.model_endpoints.bearer import bearer_key, fingerprint
from local.model_endpoints.keys import AcceptedKeys
from local.model_endpoints.pictures import caption

_FAULTS = {
    401: "invalid api token",
    429: "You are past the per minute request limit, please wait and try again later.",
    500: "internal server error, please contact us if this persists",
}
# Components of a unit vector are far below 1; scaled like this, most of the 8 bits are used.
_INT8_SCALE = 127 / 0.25
_QUANTISED: dict[str, Callable[[Any], Any]] = {
    "float": lambda vectors: vectors.tolist(),
    "int8": lambda vectors: np.clip(np.rint(vectors * _INT8_SCALE), -128, 127).astype(int).tolist(),
    "uint8": lambda vectors: (np.clip(np.rint(vectors * _INT8_SCALE), -128, 127).astype(int) + 128).tolist(),
    "binary": lambda vectors: (np.packbits(vectors > 0, axis=1).astype(int) - 128).tolist(),
    "ubinary": lambda vectors: np.packbits(vectors > 0, axis=1).tolist(),
    "base64": lambda vectors: [base64_floats(vector) for vector in vectors],
}


async def embed_texts(request: dict[str, Any], types: list[str] | None, dimension: int | None) -> dict[str, Any]:
    """The body of an embed answer, without what only Cohere's own API adds to it.

    :param types: embedding types, such as ``float`` and ``int8``, for an answer by type; ``None`` for plain lists.
    :param dimension: a wrong dimension that a behaviour asks for.
    """
    if request.get("inputs"):
        raise ApiError(400, "this double embeds texts and images only: give texts or images")
    if images := request.get("images"):
        texts = list(map(_shown, images))
    else:
        texts = required(request, "texts", "invalid request: one of texts or images must be provided")
    if unknown := set(types or ()) - set(_QUANTISED):
        raise ApiError(400, f"invalid request: embedding types {sorted(unknown)} are not valid")
    vectors = await embed(texts, request.get("output_dimension"))
    if dimension is not None:
        vectors = [resize_without_norm(vector, dimension) for vector in vectors]
    by_type = {kind: _QUANTISED[kind](np.asarray(vectors)) for kind in types or ()}
    return {
        "id": str(uuid.uuid4()),
        "texts": [] if images else texts,
        "embeddings": by_type if types else vectors,
        "response_type": "embeddings_by_type" if types else "embeddings_floats",
    }


async def rerank_documents(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a rerank, best first. A document is a string or an object with ``text``."""
    query = required(request, "query", "invalid request: query must be provided")
    documents = required(request, "documents", "invalid request: list of documents must not be empty")
    texts = [document if isinstance(document, str) else document["text"] for document in documents]
    scores = await similarities(query, texts)
    ranked = sorted(range(len(texts)), key=lambda index: -scores[index])[: request.get("top_n")]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in ranked]
    if request.get("return_documents"):
        for result in results:
            result["document"] = {"text": texts[result["index"]]}
    return results


async def _embed_v1(call: Call) -> Response:
    request = call.json_object()
    _check_model(request, "embed-", default="embed-english-v2.0")
    body = await embed_texts(request, request.get("embedding_types"), call.dimension)
    return JSONResponse({**body, "meta": _meta("1", input_tokens=count_tokens(*body["texts"]))})


async def _embed_v2(call: Call) -> Response:
    request = call.json_object()
    _check_model(request, "embed-")
    required(request, "input_type", "invalid request: valid input_type must be provided with the provided model")
    body = await embed_texts(request, request.get("embedding_types") or ["float"], call.dimension)
    return JSONResponse({**body, "meta": _meta("2", input_tokens=count_tokens(*body["texts"]))})


async def _rerank_v1(call: Call) -> Response:
    request = call.json_object()
    _check_model(request, "rerank-", "jina-reranker-", default="rerank-english-v3.0")
    return JSONResponse(
        {"id": str(uuid.uuid4()), "results": await rerank_documents(request), "meta": _meta("1", search_units=1)}
    )


async def _rerank_v2(call: Call) -> Response:
    request = call.json_object()
    _check_model(request, "rerank-")
    results = await rerank_documents({**request, "return_documents": False})  # version 2 has no such parameter
    return JSONResponse({"id": str(uuid.uuid4()), "results": results, "meta": _meta("2", search_units=1)})


async def _chat_v1(call: Call) -> Response:
    request = call.json_object()
    refuse_stream(request)
    _check_model(request, "command", default="command-r-plus")
    message = required(request, "message", "invalid request: message must be at least 1 token long")
    text, cut = chat(message, request.get("max_tokens"))
    history = [
        *request.get("chat_history", ()),
        {"role": "USER", "message": message},
        {"role": "CHATBOT", "message": text},
    ]
    tokens = {"input_tokens": count_tokens(message), "output_tokens": count_tokens(text)}
    return JSONResponse(
        {
            "response_id": str(uuid.uuid4()),
            "text": text,
            "generation_id": str(uuid.uuid4()),
            "chat_history": history,
            "finish_reason": "MAX_TOKENS" if cut else "COMPLETE",
            "meta": {**_meta("1", **tokens), "tokens": tokens},
        }
    )


async def _chat_v2(call: Call) -> Response:
    request = call.json_object()
    refuse_stream(request)
    _check_model(request, "command")
    messages = required(request, "messages", "invalid request: messages must not be empty")
    text, cut = chat(message_text(messages[-1].get("content")), request.get("max_tokens"))
    asked = [message_text(message.get("content")) for message in messages]
    tokens = {"input_tokens": count_tokens(*asked), "output_tokens": count_tokens(text)}
    return JSONResponse(
        {
            "id": str(uuid.uuid4()),
            "finish_reason": "MAX_TOKENS" if cut else "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
            "usage": {"billed_units": tokens, "tokens": tokens},
        }
    )


def _shown(image: str) -> str:
    kind, _, data = image.partition(";base64,")
    try:
        if not kind.startswith("data:image/"):
            raise ValueError("no data URL of an image")
        return caption(base64.b64decode(data, validate=True))
    except ValueError as error:
        raise ApiError(400, f"invalid request: image format is not valid ({error})") from None


def _check_model(request: dict[str, Any], *prefixes: str, default: str | None = None) -> None:
    model = str(request.get("model") or default or "")
    if not model:
        raise ApiError(400, "invalid request: model is required")
    if not model.startswith(prefixes):
        message = (
            f"model '{model}' not found, make sure the correct model ID was used and that you have access to the model."
        )
        raise ApiError(404, message)


def _meta(version: str, **billed_units: int) -> dict[str, Any]:
    return {"api_version": {"version": version}, "billed_units": billed_units}


async def _authenticate(call: Call, keys: AcceptedKeys) -> None:
    key = bearer_key(call.headers)
    if not key:
        raise ApiError(401, "no api key supplied")
    if not keys.accepts("cohere", key):
        raise _fault(401)


def _fault(status: int) -> ApiError:
    return ApiError(status, _FAULTS.get(status, f"the request failed with status {status}"))


def _error_response(error: ApiError) -> Response:
    return JSONResponse({"id": str(uuid.uuid4()), "message": error.message}, error.status)


COHERE = ApiFamily(
    name="cohere",
    routes={
        "/v1/embed": _embed_v1,
        "/v2/embed": _embed_v2,
        "/v1/rerank": _rerank_v1,
        "/v2/rerank": _rerank_v2,
        "/v1/chat": _chat_v1,
        "/v2/chat": _chat_v2,
    },
    fingerprint=fingerprint,
    authenticate=_authenticate,
    fault=_fault,
    error_response=_error_response,
)
