"""Amazon Bedrock runtime: InvokeModel for Titan text embeddings, Cohere and Claude, and Converse for any model.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import chat, count_tokens, embed, message_text, resize_without_norm
from local.model_endpoints.api import ApiError, ApiFamily, Call, Caller, required
from local.model_endpoints.aws import (
    Permission,
    authenticate_as,
    authorize_by,
    error_response_in,
    fault_named,
    fingerprint,
)
from local.model_endpoints.cohere import embed_texts, rerank_documents

# An id may come as the ARN of a model or inference profile, and with a region group before the maker's name.
_BEFORE_THE_MODEL = re.compile(
    r"^(?P<arn>arn:aws[\w-]*:bedrock:[^/]+/)?(?P<group>(us|eu|apac|jp|au|ca|global|us-gov)\.)?"
)
_UNKNOWN_MODEL = "The provided model identifier is invalid."
_EMBEDDING_SIZES = (256, 512, 1024)

Invocation = Callable[[str, dict[str, Any], int | None], Awaitable[dict[str, Any]]]


async def _invoke(call: Call) -> Response:
    model = _BEFORE_THE_MODEL.sub("", call.parameters["model"])
    invocation = next((answer for prefix, answer in _INVOCATIONS.items() if model.startswith(prefix)), None)
    if invocation is None:
        raise ApiError(400, _UNKNOWN_MODEL)
    return JSONResponse(await invocation(model, call.json_object(), call.dimension))


async def _converse(call: Call) -> Response:
    request = call.json_object()
    messages = _required(request, "messages")
    asked = [message_text(message.get("content")) for message in messages]
    text, cut = chat(asked[-1], request.get("inferenceConfig", {}).get("maxTokens"))
    tokens = {"inputTokens": count_tokens(*asked), "outputTokens": count_tokens(text)}
    return JSONResponse(
        {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": "max_tokens" if cut else "end_turn",
            "usage": {**tokens, "totalTokens": sum(tokens.values())},
            "metrics": {"latencyMs": 1},
        }
    )


async def _refuse_to_stream(call: Call) -> Response:
    raise ApiError(400, "this double answers whole responses only: call invoke or converse")


def _permissions(call: Call, caller: Caller) -> Iterator[Permission]:
    action = f"bedrock:InvokeModel{'WithResponseStream' if call.path.endswith('-stream') else ''}"
    asked = call.parameters["model"]
    parts = _BEFORE_THE_MODEL.match(asked)
    model = _BEFORE_THE_MODEL.sub("", asked)
    foundation_model = caller.arn("bedrock", f"foundation-model/{model}", account_id="")
    if parts and parts["group"]:
        # A profile of several regions sends the call to one of them; here it is always the caller's own.
        profile = asked if parts["arn"] else caller.arn("bedrock", f"inference-profile/{asked}")
        yield Permission(action, profile)
        yield Permission(action, foundation_model, {"bedrock:InferenceProfileArn": profile})
    else:
        yield Permission(action, asked if parts and parts["arn"] else foundation_model)


async def _titan_embedding(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    text = _required(request, "inputText")
    wanted = request.get("dimensions")
    if wanted is not None and (model.endswith("-v1") or wanted not in _EMBEDDING_SIZES):
        raise ApiError(400, "Malformed input request: #/dimensions: not a valid value, please reformat your input.")
    [vector] = await embed([text], wanted)
    if dimension is not None:
        vector = resize_without_norm(vector, dimension)
    body = {"embedding": vector, "inputTextTokenCount": count_tokens(text)}
    return body if model.endswith("-v1") else {**body, "embeddingsByType": {"float": vector}}


async def _cohere_embedding(model: str, request: dict[str, Any], dimension: int | None) -> dict[str, Any]:
    _required(request, "input_type")
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
        _required(request, field)
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


def _required(request: dict[str, Any], field: str) -> Any:
    missing = f"Malformed input request: #: required key [{field}] not found, please reformat your input and try again."
    return required(request, field, missing)


_INVOCATIONS: dict[str, Invocation] = {
    "amazon.titan-embed-text-": _titan_embedding,
    "cohere.embed-": _cohere_embedding,
    "cohere.rerank-": _cohere_rerank,
    "anthropic.claude": _claude,
}

BEDROCK = ApiFamily(
    name="bedrock",
    routes={
        "/model/{model:path}/invoke": _invoke,
        "/model/{model:path}/converse": _converse,
        "/model/{model:path}/invoke-with-response-stream": _refuse_to_stream,
        "/model/{model:path}/converse-stream": _refuse_to_stream,
    },
    fingerprint=fingerprint,
    authenticate=authenticate_as("bedrock"),
    authorize=authorize_by(_permissions),
    fault=fault_named(
        {
            400: "ValidationException",
            404: "ResourceNotFoundException",
            408: "ModelTimeoutException",
            424: "ModelErrorException",
            500: "InternalServerException",
            503: "ServiceUnavailableException",
        }
    ),
    error_response=error_response_in("ValidationException", "com.amazon.bedrock"),
)
