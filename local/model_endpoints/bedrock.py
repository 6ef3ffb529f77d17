"""Amazon Bedrock: InvokeModel and Converse of its runtime, Rerank of its agent runtime, and batch jobs.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone

from starlette.responses import JSONResponse, Response

from local.model_endpoints.answers import similarities
from local.model_endpoints.api import ApiError, ApiFamily, Call, Caller
from local.model_endpoints.aws import (
    Permission,
    authenticate_as,
    authorize_by,
    error_response_in,
    fault_named,
    fingerprint,
)
from local.model_endpoints.batch_jobs import BatchJob, BatchJobs
from local.model_endpoints.bedrock_models import converse, invocation_of, require

# An id may come as the ARN of a model or inference profile, and with a region group before the maker's name.
_BEFORE_THE_MODEL = re.compile(
    r"^(?P<arn>arn:aws[\w-]*:bedrock:[^/]+/)?(?P<group>(us|eu|apac|jp|au|ca|global|us-gov)\.)?"
)
_UNKNOWN_MODEL = "The provided model identifier is invalid."
_UNKNOWN_JOB = "Could not find the requested job."

_jobs = BatchJobs()


async def _invoke(call: Call) -> Response:
    model = _BEFORE_THE_MODEL.sub("", call.parameters["model"])
    invocation = invocation_of(model)
    if invocation is None:
        raise ApiError(400, _UNKNOWN_MODEL)
    return JSONResponse(await invocation(model, call.json_object(), call.dimension))


async def _converse(call: Call) -> Response:
    return JSONResponse(converse(call.json_object()))


async def _refuse_to_stream(call: Call) -> Response:
    raise ApiError(400, "this double answers whole responses only: call invoke or converse")


async def _rerank(call: Call) -> Response:
    request = call.json_object()
    [query], sources = require(request, "queries"), require(request, "sources")
    asked = require(request, "rerankingConfiguration")["bedrockRerankingConfiguration"]
    texts = [source["inlineDocumentSource"]["textDocument"]["text"] for source in sources]
    scores = await similarities(query["textQuery"]["text"], texts)
    ranked = sorted(range(len(texts)), key=lambda index: -scores[index])[: asked.get("numberOfResults")]
    return JSONResponse({"results": [{"index": index, "relevanceScore": scores[index]} for index in ranked]})


async def _create_job(call: Call) -> Response:
    request = call.json_object()
    for field in ("jobName", "modelId", "roleArn", "inputDataConfig", "outputDataConfig"):
        require(request, field)
    job_id = uuid.uuid4().hex[:12]
    arn = (
        call.caller.arn("bedrock", f"model-invocation-job/{job_id}")
        if call.caller
        else f"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/{job_id}"
    )
    _jobs.add(job_id, arn, {**request, "submitTime": datetime.now(timezone.utc).isoformat()})
    return JSONResponse({"jobArn": arn})


async def _get_job(call: Call) -> Response:
    job = _existing(call)
    return JSONResponse({"jobArn": job.arn, "status": job.status, **job.request})


async def _stop_job(call: Call) -> Response:
    job = _existing(call)
    if not _jobs.stop(_job_id(call)):
        raise ApiError(409, f"The job {job.arn} has ended.", "ConflictException")
    return JSONResponse({})


def _existing(call: Call) -> BatchJob:
    job = _jobs.find(_job_id(call))
    if job is None:
        raise ApiError(404, _UNKNOWN_JOB, "ResourceNotFoundException")
    return job


def _job_id(call: Call) -> str:
    return call.parameters["job"].rpartition("/")[2]  # it may come as the job's ARN


def _permissions(call: Call, caller: Caller) -> Iterator[Permission]:
    if "job" in call.parameters:
        action = "StopModelInvocationJob" if call.path.endswith("/stop") else "GetModelInvocationJob"
        yield Permission(f"bedrock:{action}", caller.arn("bedrock", f"model-invocation-job/{_job_id(call)}"))
    elif "model" in call.parameters:
        action = f"bedrock:InvokeModel{'WithResponseStream' if call.path.endswith('-stream') else ''}"
        yield from _of_model(action, call.parameters["model"], caller)
    elif call.path == "/rerank":
        yield Permission("bedrock:Rerank")
        asked = call.json_object()["rerankingConfiguration"]["bedrockRerankingConfiguration"]
        yield from _of_model("bedrock:InvokeModel", asked["modelConfiguration"]["modelArn"], caller)
    else:
        request = call.json_object()
        yield Permission("bedrock:CreateModelInvocationJob", caller.arn("bedrock", "model-invocation-job/*"))
        yield from _of_model("bedrock:CreateModelInvocationJob", request["modelId"], caller)
        yield Permission("iam:PassRole", request["roleArn"], {"iam:PassedToService": "bedrock.amazonaws.com"})


def _of_model(action: str, asked: str, caller: Caller) -> Iterator[Permission]:
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


BEDROCK = ApiFamily(
    name="bedrock",
    routes={
        "/model/{model:path}/invoke": _invoke,
        "/model/{model:path}/converse": _converse,
        "/model/{model:path}/invoke-with-response-stream": _refuse_to_stream,
        "/model/{model:path}/converse-stream": _refuse_to_stream,
        "/rerank": _rerank,
        "/model-invocation-job": _create_job,
        "/model-invocation-job/{job:path}/stop": _stop_job,
    },
    reads={"/model-invocation-job/{job:path}": _get_job},
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
