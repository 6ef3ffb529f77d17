"""What Bedrock's models take and answer when they are invoked: each maker's own request and response.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html, and Amazon Nova's user guide.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from local.model_endpoints.answers import chat, count_tokens, embed, message_text, resize_without_norm
from local.model_endpoints.api import ApiError, required
from local.model_endpoints.cohere import embed_texts, rerank_documents
from local.model_endpoints.pictures import caption

_EMBEDDING_SIZES = (256, 512, 1024)
_IMAGE_EMBEDDING_SIZES = (256, 384, 1024)
_NOVA_EMBEDDING_SIZES = (256, 384, 1024, 3072)

Invocation = Callable[[str, dict[str, Any], int | None], Awaitable[dict[str, Any]]]


def invocation_of(model: str) -> Invocation | None:
    """How a model answers, by its id without region group and ARN; ``None``: there is no such model here."""
    return next((answer for prefix, answer in _INVOCATIONS.items() if model.startswith(prefix)), None)


def converse(request: dict[str, Any]) -> dict[str, Any]:
    """The answer of Converse, which is that of an invoked Nova model too."""
    messages = require(request, "messages")
    asked = [message_text(message.get("content")) for message in messages]
    text, cut = chat(asked[-1], request.get("inferenceConfig", {}).get("maxTokens"))
    tokens = {"inputTokens": count_tokens(*asked), "outputTokens": count_tokens(text)}
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "max_tokens" if cut else "end_turn",
        "usage": {**tokens, "totalTokens": sum(tokens.values())},
        "metrics": {"latencyMs": 1},
    }


def require(request: dict[str, Any], field: str) -> Any:
    """:raises ApiError: the field is missing or empty."""
    missing = f"Malformed input request: #: required key [{field}] not found, please reformat your input and try again."
    return required(request, field, missing)


async def _titan_embedding(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    text = require(request, "inputText")
    wanted = request.get("dimensions")
    if wanted is not None and (model.endswith("-v1") or wanted not in _EMBEDDING_SIZES):
        raise _invalid("dimensions")
    [vector] = await embed([text], wanted)
    if dimension is not None:
        vector = resize_without_norm(vector, dimension)
    body = {"embedding": vector, "inputTextTokenCount": count_tokens(text)}
    return body if model.endswith("-v1") else {**body, "embeddingsByType": {"float": vector}}


async def _cohere_embedding(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    require(request, "input_type")
    # Version 4 answers by type unless one type was left to it; version 3 only when it was asked for types.
    return await embed_texts(request, request.get("embedding_types"), dimension)


async def _cohere_rerank(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    return {"results": await rerank_documents(request)}


async def _claude(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    if "prompt" in request:  # the text completions of Claude 2
        text, cut = chat(request["prompt"].split("Human:")[-1].split("Assistant:")[0], request["max_tokens_to_sample"])
        reason = "max_tokens" if cut else "stop_sequence"
        return {"type": "completion", "completion": f" {text}", "stop_reason": reason, "stop": "\n\nHuman:"}
    for field in ("anthropic_version", "max_tokens", "messages"):
        require(request, field)
    asked = [message_text(message.get("content")) for message in request["messages"]]
    text, cut = chat(asked[-1], request["max_tokens"])
    return {
        "id": f"msg_bdrk_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "max_tokens" if cut else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": count_tokens(*asked), "output_tokens": count_tokens(text)},
    }


async def _titan_image_embedding(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    text, image = request.get("inputText"), request.get("inputImage")
    if not text and not image:
        require(request, "inputText")
    wanted = (request.get("embeddingConfig") or {}).get("outputEmbeddingLength")
    if wanted is not None and wanted not in _IMAGE_EMBEDDING_SIZES:
        raise _invalid("embeddingConfig/outputEmbeddingLength")
    shown = [_shown(image, "inputImage")] if image else []
    [vector] = await embed(["\n".join([*([text] if text else []), *shown])], wanted)
    if dimension is not None:
        vector = resize_without_norm(vector, dimension)
    return {"embedding": vector, "inputTextTokenCount": count_tokens(text) if text else 0, "message": None}


async def _nova_embedding(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    if request.get("taskType") != "SINGLE_EMBEDDING":
        raise _invalid("taskType")
    asked = require(request, "singleEmbeddingParams")
    require(asked, "embeddingPurpose")
    wanted = asked.get("embeddingDimension", 3072)
    if wanted not in _NOVA_EMBEDDING_SIZES:
        raise _invalid("singleEmbeddingParams/embeddingDimension")
    given = [kind for kind in ("text", "image", "video", "audio") if kind in asked]
    if len(given) != 1 or given[0] not in ("text", "image"):
        raise ApiError(400, "Malformed input request: this double takes either text or image.")
    [kind] = given
    if kind == "text":
        require(asked["text"], "truncationMode")
        text = require(asked["text"], "value")
    else:
        require(asked["image"], "format")
        text = _shown(asked["image"]["source"]["bytes"], "image")
    [vector] = await embed([text], wanted)
    if dimension is not None:
        vector = resize_without_norm(vector, dimension)
    return {"embeddings": [{"embeddingType": kind.upper(), "embedding": vector}]}


async def _nova(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    return converse(request)


async def _jamba(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    messages = require(request, "messages")
    text, cut = chat(message_text(messages[-1].get("content")), request.get("max_tokens"))
    asked = count_tokens(*(message_text(message.get("content")) for message in messages))
    usage = {"prompt_tokens": asked, "completion_tokens": count_tokens(text)}
    message = {"role": "assistant", "content": text, "tool_calls": None}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "choices": [{"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }


async def _deepseek(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    text, cut = chat(require(request, "prompt"), request.get("max_tokens"))
    return {"choices": [{"text": text, "stop_reason": "length" if cut else "stop"}]}


def _shown(image: str, field: str) -> str:
    try:
        return caption(base64.b64decode(image, validate=True))
    except ValueError:
        raise _invalid(field) from None


def _invalid(field: str) -> ApiError:
    return ApiError(400, f"Malformed input request: #/{field}: not a valid value, please reformat your input.")


_INVOCATIONS: dict[str, Invocation] = {
    "amazon.titan-embed-text-": _titan_embedding,
    "amazon.titan-embed-image-": _titan_image_embedding,
    "amazon.nova-2-multimodal-embeddings-": _nova_embedding,
    "amazon.nova-": _nova,
    "cohere.embed-": _cohere_embedding,
    "cohere.rerank-": _cohere_rerank,
    "anthropic.claude": _claude,
    "ai21.jamba-": _jamba,
    "deepseek.r1-": _deepseek,
}
