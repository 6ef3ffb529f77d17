"""Aleph Alpha's API: semantic embeddings.

Source: https://docs.aleph-alpha.com/api/semantic-embed/
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import count_tokens, embed, resize_without_norm
from local.model_endpoints.api import ApiError, ApiFamily, Call, required
from local.model_endpoints.bearer import bearer_key, fingerprint
from local.model_endpoints.keys import AcceptedKeys

_REPRESENTATIONS = ("symmetric", "document", "query")
_UNAUTHORIZED = "Invalid or missing token."


async def _semantic_embed(call: Call) -> Response:
    request = call.json_object()
    for field in ("model", "prompt"):
        required(request, field, f"missing field `{field}`")
    if request.get("representation") not in _REPRESENTATIONS:
        raise ApiError(400, f"representation has to be one of {', '.join(_REPRESENTATIONS)}")
    [vector] = await embed([request["prompt"]])
    if call.dimension is not None:
        vector = resize_without_norm(vector, call.dimension)
    tokens = count_tokens(request["prompt"])
    return JSONResponse({"model_version": "2022-10", "embedding": vector, "num_tokens_prompt_total": tokens})


async def _authenticate(call: Call, keys: AcceptedKeys) -> None:
    if not keys.accepts("aleph_alpha", bearer_key(call.headers)):
        raise _fault(401)


def _fault(status: int) -> ApiError:
    message = _UNAUTHORIZED if status == 401 else f"The request failed with status {status}."
    return ApiError(status, message, "UNAUTHENTICATED" if status == 401 else None)


def _error_response(error: ApiError) -> Response:
    return JSONResponse({"error": error.message, "code": error.code or "VALIDATION_ERROR"}, error.status)


ALEPH_ALPHA = ApiFamily(
    name="aleph_alpha",
    routes={"/semantic_embed": _semantic_embed},
    fingerprint=fingerprint,
    authenticate=_authenticate,
    fault=_fault,
    error_response=_error_response,
)
