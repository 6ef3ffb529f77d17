"""OpenAI's API: chat completions, completions and embeddings; at Azure's paths too, and for the models of platforms
that speak the same API (DeepSeek, Mistral, Ollama, Voyage, Jina).

Source: https://platform.openai.com/docs/api-reference and its page on error codes; Azure OpenAI's REST API reference.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import base64_floats, chat, count_tokens, embed, message_text, resize_without_norm
from local.model_endpoints.api import ApiError, ApiFamily, Call, refuse_stream, required
from local.model_endpoints.bearer import bearer_key
from local.model_endpoints.keys import NO_CREDENTIAL, AcceptedKeys, bearer_fingerprint

_CHAT_MODELS = ("gpt-", "chatgpt-", "o1", "o3", "o4", "deepseek-", "mistral-", "qwen")
_COMPLETION_MODELS = ("gpt-3.5-turbo-instruct", "davinci-002", "babbage-002")
_EMBEDDING_MODELS = ("text-embedding-", "mistral-embed", "nomic-embed-text", "voyage-", "jina-embeddings-")
_ENCODINGS: dict[str, Callable[[list[float]], Any]] = {"float": list, "base64": base64_floats}
_MISSING_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)
# The real service quotes the key with most of it masked. Not here: nothing of a credential is ever answered.
_WRONG_KEY = "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
_FAULTS = {
    401: ("invalid_api_key", _WRONG_KEY),
    429: ("rate_limit_exceeded", "Rate limit reached for requests. Please try again later."),
    500: (None, "The server had an error while processing your request. Sorry about that!"),
    503: (None, "The engine is currently overloaded, please try again later."),
}
_TYPES = {429: "requests", 500: "server_error", 503: "server_error"}


async def _chat_completions(call: Call) -> Response:
    request = call.json_object()
    refuse_stream(request)
    model = _known_model(call, request, _CHAT_MODELS)
    messages = required(request, "messages", "Missing required parameter: 'messages'.")
    prompt = message_text(messages[-1].get("content"))
    text, cut = chat(prompt, request.get("max_completion_tokens") or request.get("max_tokens"))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": "length" if cut else "stop",
    }
    asked = [message_text(message.get("content")) for message in messages]
    return JSONResponse(_completion("chat.completion", "chatcmpl", model, [choice], asked, [text]))


async def _completions(call: Call) -> Response:
    request = call.json_object()
    refuse_stream(request)
    model = _known_model(call, request, _COMPLETION_MODELS)
    prompts = _texts(required(request, "prompt", "Missing required parameter: 'prompt'."))
    answers = [chat(prompt, request.get("max_tokens")) for prompt in prompts]
    choices = [
        {"index": index, "text": text, "logprobs": None, "finish_reason": "length" if cut else "stop"}
        for index, (text, cut) in enumerate(answers)
    ]
    return JSONResponse(_completion("text_completion", "cmpl", model, choices, prompts, [text for text, _ in answers]))


async def _embeddings(call: Call) -> Response:
    request = call.json_object()
    model = _known_model(call, request, _EMBEDDING_MODELS)
    texts = _texts(required(request, "input", "'$.input' is invalid. Please check the API reference."))
    encode = _ENCODINGS.get(request.get("encoding_format", "float"))
    if encode is None:
        raise ApiError(400, f"Invalid value for 'encoding_format'. Supported values are: {', '.join(_ENCODINGS)}.")
    vectors = await embed(texts, request.get("dimensions") or request.get("output_dimension"))  # the latter is Voyage's
    if call.dimension is not None:
        vectors = [resize_without_norm(vector, call.dimension) for vector in vectors]
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    tokens = count_tokens(*texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": model, "usage": usage})


def _completion(
    kind: str, prefix: str, model: str, choices: list[dict[str, Any]], asked: list[str], answered: list[str]
) -> dict[str, Any]:
    prompt, completion = count_tokens(*asked), count_tokens(*answered)
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def _known_model(call: Call, request: dict[str, Any], prefixes: tuple[str, ...]) -> str:
    if "deployment" in call.parameters:  # at Azure the path names it, and every deployment exists
        if "api-version=" not in call.query:
            raise ApiError(404, "Resource not found", "404")
        return call.parameters["deployment"]
    model = str(required(request, "model", "you must provide a model parameter"))
    if not model.startswith(prefixes):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise ApiError(404, message, "model_not_found")
    return model


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "this double takes a string or a list of strings, not tokens")
    return texts


def _key(headers: Headers) -> str:
    return headers.get("api-key") or bearer_key(headers)  # the former is Azure's


def _fingerprint(headers: Headers) -> str:
    key = _key(headers)
    return bearer_fingerprint(key) if key else NO_CREDENTIAL


async def _authenticate(call: Call, keys: AcceptedKeys) -> None:
    key = _key(call.headers)
    if not key:
        raise ApiError(401, _MISSING_KEY)
    if not keys.accepts("openai", key):
        raise _fault(401)


def _fault(status: int) -> ApiError:
    code, message = _FAULTS.get(status, (None, f"The request failed with status {status}."))
    return ApiError(status, message, code)


def _error_response(error: ApiError) -> Response:
    kind = _TYPES.get(error.status, "invalid_request_error")
    body = {"error": {"message": error.message, "type": kind, "param": None, "code": error.code}}
    return JSONResponse(body, error.status)


_AZURE = "/openai/deployments/{deployment}"

OPENAI = ApiFamily(
    name="openai",
    routes={
        "/v1/chat/completions": _chat_completions,
        "/v1/completions": _completions,
        "/v1/embeddings": _embeddings,
        f"{_AZURE}/chat/completions": _chat_completions,
        f"{_AZURE}/completions": _completions,
        f"{_AZURE}/embeddings": _embeddings,
    },
    fingerprint=_fingerprint,
    authenticate=_authenticate,
    fault=_fault,
    error_response=_error_response,
)
