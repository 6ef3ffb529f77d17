"""Amazon SageMaker: InvokeEndpoint and InvokeEndpointAsync of its runtime, and batch transform jobs at the paths that
ML Commons calls. For a key of the account, the endpoints are those that exist there; for any other key every endpoint
name exists.

What a body looks like is the business of the container behind an endpoint. The double tells by the body:
``{"messages": […]}`` is a chat in OpenAI's shape, ``{"inputs": {"question", "context"}}`` is question answering,
``{"inputs": TEXT, "parameters": {…}}`` is text generation (both as Hugging Face's containers have them), and texts, in
a list or under ``inputs``, ``texts``, ``text_inputs`` or ``input``, are to be embedded: one vector for each, or, of an
endpoint with ``sparse`` in its name, the weights of its words.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Runtime.html
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import chat, embed, message_text, resize_without_norm, word_weights
from local.model_endpoints.api import ApiError, ApiFamily, Call, Caller, required
from local.model_endpoints.aws import (
    Permission,
    authenticate_as,
    authorize_by,
    error_response_in,
    fault_named,
    fingerprint,
)
from local.model_endpoints.batch_jobs import BatchJobs

_INPUT_FIELDS = ("inputs", "texts", "text_inputs", "input")
_jobs = BatchJobs()
_VARIANT = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}


async def _invoke(call: Call) -> Response:
    await _check_that_it_exists(call)
    if "sparse" in call.parameters["endpoint"]:
        return JSONResponse([word_weights(text) for text in _texts(_inputs(call.json()))], headers=_VARIANT)
    return JSONResponse(await _model_answer(call.json(), call.dimension), headers=_VARIANT)


async def _invoke_async(call: Call) -> Response:
    await _check_that_it_exists(call)
    if "x-amzn-sagemaker-inputlocation" not in call.headers:
        raise ApiError(400, "InputLocation must be provided to invoke an asynchronous endpoint.")
    inference_id = call.headers.get("x-amzn-sagemaker-inference-id", str(uuid.uuid4()))
    bucket = f"s3://sagemaker-double/{call.parameters['endpoint']}"
    locations = {
        "X-Amzn-SageMaker-OutputLocation": f"{bucket}/output/{inference_id}.out",
        "X-Amzn-SageMaker-FailureLocation": f"{bucket}/failure/{inference_id}-error.out",
    }
    return JSONResponse({"InferenceId": inference_id}, 202, headers=locations)


async def _create_transform_job(call: Call) -> Response:
    request = call.json_object()
    for field in ("TransformJobName", "ModelName", "TransformInput", "TransformOutput", "TransformResources"):
        required(request, field, f"Value null at '{field[0].lower()}{field[1:]}' failed to satisfy constraint")
    name = request["TransformJobName"]
    arn = (
        call.caller.arn("sagemaker", f"transform-job/{name.lower()}")
        if call.caller
        else f"arn:aws:sagemaker:us-east-1:123456789012:transform-job/{name.lower()}"
    )
    if not _jobs.add(name, arn, request):
        raise ApiError(400, f"Job name must be unique within an AWS account and region, and a job named {name} exists.")
    return JSONResponse({"TransformJobArn": arn})


async def _describe_transform_job(call: Call) -> Response:
    job = _jobs.find(call.json_object()["TransformJobName"])
    if job is None:
        raise ApiError(400, "Could not find requested job with name.")
    return JSONResponse({**job.request, "TransformJobArn": job.arn, "TransformJobStatus": job.status})


async def _stop_transform_job(call: Call) -> Response:
    if not _jobs.stop(call.json_object()["TransformJobName"]):
        raise ApiError(400, "The request was rejected because the transform job is not running.")
    return Response(b"")


async def _check_that_it_exists(call: Call) -> None:
    caller, name = call.caller, call.parameters["endpoint"]
    if caller and not await caller.account.has_sagemaker_endpoint(caller.region, name):
        raise ApiError(400, f"Endpoint {name} of account {caller.key.account_id} not found.")


def _permissions(call: Call, caller: Caller) -> Iterator[Permission]:
    if "endpoint" not in call.parameters:
        job = call.json_object()["TransformJobName"].lower()
        yield Permission(f"sagemaker:{call.path.strip('/')}", caller.arn("sagemaker", f"transform-job/{job}"))
        return
    action = "InvokeEndpointAsync" if call.path.endswith("/async-invocations") else "InvokeEndpoint"
    # IAM is asked for the name in lower case, whatever case the endpoint was created or called with.
    endpoint = caller.arn("sagemaker", f"endpoint/{call.parameters['endpoint'].lower()}")
    yield Permission(f"sagemaker:{action}", endpoint)


async def _model_answer(request: Any, dimension: int | None) -> Any:
    if isinstance(request, dict) and "messages" in request:
        return _chat_completion(request)
    inputs = _inputs(request)
    if isinstance(inputs, dict):
        return _answer_from_context(inputs)
    if isinstance(request, dict) and "parameters" in request:
        return [{"generated_text": chat(inputs, request["parameters"].get("max_new_tokens"))[0]}]
    vectors = await embed(_texts(inputs))
    return vectors if dimension is None else [resize_without_norm(vector, dimension) for vector in vectors]


def _texts(inputs: Any) -> list[str]:
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "the model takes a text or a list of texts")
    return texts


def _inputs(request: Any) -> Any:
    if not isinstance(request, dict):
        return request
    for field in _INPUT_FIELDS:
        if field in request:
            return request[field]
    raise ApiError(400, f"the model takes one of {', '.join(_INPUT_FIELDS)} or messages")


def _answer_from_context(inputs: dict[str, Any]) -> dict[str, Any]:
    # The first sentence of the context: no model reads it, but a caller can look for it.
    answer = str(inputs.get("context", "")).split(".")[0]
    return {"score": 1.0, "start": 0, "end": len(answer), "answer": answer}


def _chat_completion(request: dict[str, Any]) -> dict[str, Any]:
    text, cut = chat(message_text(request["messages"][-1].get("content")), request.get("max_tokens"))
    finish_reason = "length" if cut else "stop"
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    }


SAGEMAKER = ApiFamily(
    name="sagemaker",
    routes={
        "/endpoints/{endpoint}/invocations": _invoke,
        "/endpoints/{endpoint}/async-invocations": _invoke_async,
        "/CreateTransformJob": _create_transform_job,
        "/DescribeTransformJob": _describe_transform_job,
        "/StopTransformJob": _stop_transform_job,
    },
    fingerprint=fingerprint,
    authenticate=authenticate_as("sagemaker"),
    authorize=authorize_by(_permissions),
    fault=fault_named({400: "ValidationError", 424: "ModelError", 503: "ServiceUnavailable"}),
    error_response=error_response_in("ValidationError", "com.amazon.sagemaker.runtime"),
)
