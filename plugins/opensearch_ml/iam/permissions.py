"""What a connector's role must be allowed, told from what the connector calls.

It is read from service, region, path, headers and body, never from the host: a proxy may stand before the service.
Parts that only a predict can fill are not known here; `underivable` says what to write for them.
Source: the Service Authorization Reference of each service; Amazon Bedrock, "Prerequisites for inference profiles" and
"Permissions for reranking"; ml-commons ``ConnectorUtils`` (calls that the cluster makes by itself for batch jobs).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from opensearch_ml.base.arns import Arn
from opensearch_ml.blueprint import placeholders, trusted_endpoints
from opensearch_ml.blueprint.models import Action, Blueprint, Connector
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.errors import Finding

# Operations whose service knows no resource, or none but optional ones: only these are allowed on `*`.
NOTHING_FINER = {
    "bedrock": frozenset({"Rerank"}),
    "comprehend": frozenset(
        {
            *("BatchDetectDominantLanguage", "BatchDetectEntities", "BatchDetectKeyPhrases", "BatchDetectSentiment"),
            *("BatchDetectSyntax", "BatchDetectTargetedSentiment", "ContainsPiiEntities", "DetectDominantLanguage"),
            *("DetectEntities", "DetectKeyPhrases", "DetectPiiEntities", "DetectSentiment", "DetectSyntax"),
            *("DetectTargetedSentiment", "DetectToxicContent"),
        }
    ),
    "rekognition": frozenset(
        {
            *("CompareFaces", "DetectFaces", "DetectLabels", "DetectModerationLabels", "DetectProtectiveEquipment"),
            *("DetectText", "GetCelebrityInfo", "RecognizeCelebrities"),
        }
    ),
    "textract": frozenset(
        {
            *("AnalyzeDocument", "AnalyzeExpense", "AnalyzeID", "DetectDocumentText", "GetDocumentAnalysis"),
            *("GetDocumentTextDetection", "GetExpenseAnalysis", "GetLendingAnalysis", "GetLendingAnalysisSummary"),
            *("StartDocumentAnalysis", "StartDocumentTextDetection", "StartExpenseAnalysis", "StartLendingAnalysis"),
        }
    ),
    "translate": frozenset({"TranslateDocument", "TranslateText"}),
}
# A system-defined inference profile is called by its model's id with the geography before it.
PROFILE = re.compile(r"(?P<geography>us|eu|apac|jp|au|ca|us-gov|global)\.(?P<model>.+)")
PROFILE_CONDITION = "bedrock:InferenceProfileArn"
WHOLE_MODELS = ("foundation-model", "provisioned-model", "custom-model", "custom-model-deployment", "imported-model")
STREAMING_INTERFACE = "bedrock/converse"  # with this `_llm_interface` the cluster itself calls ConverseStream


@dataclass(frozen=True, slots=True)
class Permission:
    """One action that is needed.

    :param resources: ARNs; ``*`` only where the service knows nothing finer.
    :param condition: under which it is enough to be allowed, as a policy's ``Condition``.
    """

    action: str
    resources: tuple[str, ...]
    condition: Mapping[str, Any] | None = None

    def statement(self) -> dict[str, Any]:
        """Return it as a policy's statement."""
        resource = self.resources[0] if len(self.resources) == 1 else sorted(self.resources)
        bound = {"Condition": dict(self.condition)} if self.condition else {}
        return {"Effect": "Allow", "Action": self.action, "Resource": resource, **bound}


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A call of which only a part is known.

    :param example: a permission such as may be missing, its unknown parts in capitals.
    """

    where: str
    why: str
    example: Permission


_Needs = Iterator[Permission | _Unknown]


@dataclass(frozen=True, slots=True)
class _Call:
    """One action, as the service sees it; what the connector's parameters fill is filled.

    :param path: the URL's; for services that are told their operation in a header, ``/Operation``.
    """

    where: str
    service: str
    region: str
    path: str
    body: str
    headers: Mapping[str, str]
    streams: bool
    account_id: str
    partition: str

    def arn(self, resource: str, *, service: str | None = None, account_id: str | None = None) -> str:
        account = self.account_id if account_id is None else account_id
        return str(Arn(self.partition, service or self.service, self.region, account, resource))

    def field(self, name: str) -> str | None:
        """Return a text of the request body by its key, however deep; None if only a predict tells it."""
        found = re.search(rf'"{name}"\s*:\s*"([^"]+)"', self.body)
        return found[1] if found and "${" not in found[1] else None

    def unknown(self, why: str, action: str, resource: str, condition: Mapping[str, Any] | None = None) -> _Unknown:
        return _Unknown(self.where, why, Permission(action, (resource,), condition))


def required(blueprint: Blueprint, account_id: str, partition: str) -> list[Permission]:
    """Return what a connector's role must be allowed, as far as the connector tells it; see `underivable`.

    :param account_id: of the role, and of the endpoints and profiles that the URLs name.
    :param partition: for instance ``aws``.
    """
    found = (need for need in _needs(blueprint, account_id, partition) if isinstance(need, Permission))
    return [need for _, need in sorted({as_text(need.statement()): need for need in found}.items())]


def underivable(blueprint: Blueprint) -> list[Finding]:
    """Return what a role that we manage needs and the connector does not tell, unless ``iam_role.statements`` do."""
    section = blueprint.iam_role
    if section is None or not section.manage or section.statements:
        return []
    unknown = _needs(blueprint, "${variables.account_id}", "${variables.partition}")
    return [
        Finding(
            need.where,
            f"does not tell what the role must be allowed: {need.why}",
            f"Write it under iam_role.statements, for instance - {json.dumps(need.example.statement())}",
        )
        for need in unknown
        if isinstance(need, _Unknown)
    ]


def _needs(blueprint: Blueprint, account_id: str, partition: str) -> _Needs:
    connector = blueprint.connector
    secret, external = (connector.credential.get(key) for key in ("secretArn", "externalAccountRoleArn"))
    if isinstance(secret, str):
        yield Permission("secretsmanager:GetSecretValue", (secret,))
    if isinstance(external, str):
        yield Permission("sts:AssumeRole", (external,))  # whatever is called is then allowed to the other role
    elif connector.protocol == "aws_sigv4":
        for index, action in enumerate(connector.actions):
            where = f"connector.actions.{index}.url"
            yield from _called(_call(connector, action, where, account_id, partition))


def _call(connector: Connector, action: Action, where: str, account_id: str, partition: str) -> _Call:
    known = {**connector.credential, **connector.parameters}
    headers = {name.lower(): _filled(value, connector) for name, value in (action.headers or {}).items()}
    target = headers.get("x-amz-target", "")
    operation = target if "${" in target else target.rpartition(".")[2]
    return _Call(
        where=where,
        service=_filled(str(known.get("service_name", "")), connector),
        region=_filled(str(known.get("region", "")), connector),
        path=f"/{operation}" if operation else _path(_filled(action.url, connector)),
        body=_filled(action.request_body or "", connector),
        headers=headers,
        streams=str(connector.parameters.get("_llm_interface", "")).lower().startswith(STREAMING_INTERFACE),
        account_id=account_id,
        partition=partition,
    )


def _path(url: str) -> str:
    return re.split(r"[?#]", trusted_endpoints.parts(url)[2], maxsplit=1)[0].rstrip("/")


def _filled(text: str, connector: Connector) -> str:
    # The server fills a parameter's value in turn: "api": "Comprehend_20171127.${parameters.api_name}".
    for _ in range(len(connector.parameters) + 1):
        filled = placeholders.fill(text, "parameters", connector.parameters)
        if filled == text:
            break
        text = filled
    return text


def _called(call: _Call) -> _Needs:
    for service, pattern, needs, *actions in _ROUTES:
        found = re.fullmatch(pattern, call.path) if service == call.service else None
        if found is None:
            continue
        name = found[1] if found.re.groups else ""
        if "${" not in name:
            yield from needs(call, unquote(name), *actions)
            return
        for need in needs(call, "NAME", *actions):
            example = need if isinstance(need, Permission) else need.example
            yield _Unknown(call.where, "a predict may fill what it calls", example)
        return
    yield call.unknown(f"this call of {call.service} is not one that is known here", f"{call.service}:ACTION", "ARN")


# ---- one function for each kind of resource: (call, what the path names, actions)


def _endpoint(call: _Call, name: str, *actions: str) -> _Needs:
    # IAM is asked for the name in lower case, whatever case the endpoint was created with.
    resources = [call.arn(f"endpoint/{name.lower()}")]
    if component := call.headers.get("x-amzn-sagemaker-inference-component"):
        resources.append(call.arn(f"inference-component/{component.lower()}"))
    for action in actions:
        yield Permission(f"sagemaker:{action}", tuple(resources))


def _transform_job(call: _Call, name: str, *actions: str) -> _Needs:
    job = call.field("TransformJobName")
    if not job:
        yield call.unknown("a predict names the job", f"sagemaker:{actions[0]}", call.arn("transform-job/PREFIX-*"))
        return
    for action in actions:
        yield Permission(f"sagemaker:{action}", (call.arn(f"transform-job/{job.lower()}"),))


def _model(call: _Call, model: str, *actions: str) -> _Needs:
    arn = Arn.parse(model) if _is_arn(model) else None
    kind, _, name = arn.resource.partition("/") if arn else ("", "", model)
    every = [*actions, *(["InvokeModelWithResponseStream"] if call.streams else [])]
    profile = PROFILE.fullmatch(name) if kind in ("", "inference-profile") else None
    for action in (f"bedrock:{action}" for action in dict.fromkeys(every)):
        if profile:
            region = arn.region if arn else call.region
            yield from _profile(call, action, model if arn else call.arn(f"inference-profile/{model}"), profile, region)
        elif arn is None:
            yield Permission(action, (call.arn(f"foundation-model/{model}", account_id=""),))
        else:
            yield Permission(action, (model,))
            if kind not in WHOLE_MODELS:
                bound = {"StringLike": {PROFILE_CONDITION: model}} if kind == "application-inference-profile" else None
                behind = f"arn:{call.partition}:bedrock:*::foundation-model/MODEL"
                yield call.unknown("which models stand behind it is not said", action, behind, bound)


def _profile(call: _Call, action: str, profile_arn: str, profile: re.Match[str], region: str) -> _Needs:
    # The models behind a profile may be called through it alone, in whatever region it routes to.
    regions = [region, ""] if profile["geography"] == "global" else ["*"]
    models = tuple(f"arn:{call.partition}:bedrock:{one}::foundation-model/{profile['model']}" for one in regions)
    yield Permission(action, (profile_arn,))
    yield Permission(action, models, {"StringLike": {PROFILE_CONDITION: profile_arn}})


def _named_in_body(call: _Call, _: str, field: str, *actions: str) -> _Needs:
    model = call.field(field)
    if model:
        yield from _model(call, model, *actions)
    else:
        example = call.arn("foundation-model/MODEL", account_id="")
        yield call.unknown("a predict names the model", f"bedrock:{actions[0]}", example)


def _rerank(call: _Call, name: str) -> _Needs:
    yield Permission("bedrock:Rerank", ("*",))
    yield from _named_in_body(call, name, "modelArn", "InvokeModel")


def _batch_job(call: _Call, name: str, *actions: str) -> _Needs:
    # The service gives a job its id, so that nobody can name it beforehand.
    jobs = call.arn("model-invocation-job/*")
    for action in actions:
        yield Permission(f"bedrock:{action}", (jobs,))
    if "CreateModelInvocationJob" not in actions:
        return
    yield from _named_in_body(call, name, "modelId", "CreateModelInvocationJob")
    passed = {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    if role := call.field("roleArn"):
        yield Permission("iam:PassRole", (role,), passed)
    else:
        example = f"arn:{call.partition}:iam::{call.account_id}:role/ROLE"
        yield call.unknown("a predict names the job's own role", "iam:PassRole", example, passed)


def _own(call: _Call, name: str, action: str, resource: str) -> _Needs:
    yield Permission(f"{call.service}:{action}", (name if _is_arn(name) else call.arn(f"{resource}{name}"),))


def _operation(call: _Call, operation: str) -> _Needs:
    if not operation:
        yield call.unknown("it has no header X-Amz-Target", f"{call.service}:OPERATION", "*")
    elif own := call.field("EndpointArn"):  # a custom model of Comprehend's
        yield Permission(f"{call.service}:{operation}", (own,))
    elif operation in NOTHING_FINER[call.service]:
        yield Permission(f"{call.service}:{operation}", ("*",))
    else:
        yield call.unknown("its resource is not known here", f"{call.service}:{operation}", call.arn("RESOURCE"))


def _is_arn(text: str) -> bool:
    try:
        Arn.parse(text)
    except ValueError:
        return False
    return True


_TRANSFORM_JOB = ("CreateTransformJob", "DescribeTransformJob", "StopTransformJob")
_INVOCATION_JOB = ("CreateModelInvocationJob", "GetModelInvocationJob", "StopModelInvocationJob")
# Service, path, who tells what is needed for what the path names, and further arguments. Status and cancellation of a
# batch job are called by the cluster itself, so that whoever may create one may do these too.
_ROUTES: tuple[tuple[Any, ...], ...] = (
    ("sagemaker", r"/endpoints/([^/]+)/invocations", _endpoint, "InvokeEndpoint"),
    ("sagemaker", r"/endpoints/([^/]+)/async-invocations", _endpoint, "InvokeEndpointAsync"),
    ("sagemaker", r"/endpoints/([^/]+)/invocations-response-stream", _endpoint, "InvokeEndpointWithResponseStream"),
    ("sagemaker", r"/CreateTransformJob", _transform_job, *_TRANSFORM_JOB),
    ("sagemaker", r"/DescribeTransformJob", _transform_job, "DescribeTransformJob"),
    ("sagemaker", r"/StopTransformJob", _transform_job, "StopTransformJob"),
    ("bedrock", r"/model/(.+)/(?:invoke|converse)", _model, "InvokeModel"),
    ("bedrock", r"/model/(.+)/(?:invoke-with-response|converse)-stream", _model, "InvokeModelWithResponseStream"),
    ("bedrock", r"/openai/v1/chat/completions", _named_in_body, "model", "InvokeModel"),
    ("bedrock", r"/guardrail/([^/]+)/version/[^/]+/apply", _own, "ApplyGuardrail", "guardrail/"),
    ("bedrock", r"/rerank", _rerank),
    ("bedrock", r"/knowledgebases/([^/]+)/retrieve", _own, "Retrieve", "knowledge-base/"),
    ("bedrock", r"/model-invocation-job", _batch_job, *_INVOCATION_JOB),
    ("bedrock", r"/model-invocation-job/[^/]+", _batch_job, "GetModelInvocationJob"),
    ("bedrock", r"/model-invocation-job/[^/]+/stop", _batch_job, "StopModelInvocationJob"),
    ("comprehend", r"/?(.*)", _operation),
    ("rekognition", r"/?(.*)", _operation),
    ("textract", r"/?(.*)", _operation),
    ("translate", r"/?(.*)", _operation),
    ("lambda", r"/2015-03-31/functions/([^/]+)/invocations", _own, "InvokeFunction", "function:"),
)
