from __future__ import annotations

from typing import Any

import pytest

from opensearch_ml.aws.policy_evaluation import decide
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.iam import permissions, policies
from opensearch_ml.iam.permissions import Permission
from tests.support import seeds
from tests.support.examples import action, parsed
from tests.support.parsing import parse_blueprint

ACCOUNT, REGION = "111122223333", "eu-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
MODEL = "amazon.titan-embed-text-v2:0"
HOST = "http://127.0.0.1:8080"  # as in the demo: nothing is told by the host


def arn(resource: str, service: str = "bedrock", account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def calling(service: str, path: str, parameters: dict[str, Any] | None = None, **fields: Any) -> Blueprint:
    """A blueprint whose one action calls a service."""
    kind = fields.pop("action_type", "predict")
    actions = [action(url=f"{HOST}{path}", action_type=kind, **fields)]
    if kind != "predict":
        actions.append(action(url=f"{HOST}/endpoints/e/invocations"))
    return parsed(
        {
            "protocol": "aws_sigv4",
            "credential": {"roleArn": ROLE},
            "parameters": {"region": REGION, "service_name": service, **(parameters or {})},
            "actions": actions,
        },
        iam_role={"statements": [{"Effect": "Allow", "Action": "x:Y", "Resource": "*"}]},
    )


def required(blueprint: Blueprint) -> dict[str, tuple[str, ...]]:
    """Action and resources of what is needed, those under a condition left out."""
    return {p.action: p.resources for p in permissions.required(blueprint, ACCOUNT, "aws") if not p.condition}


def without_statements(blueprint: Blueprint) -> Blueprint:
    assert blueprint.iam_role
    return blueprint.model_copy(update={"iam_role": blueprint.iam_role.model_copy(update={"statements": []})})


FOUNDATION = arn(f"foundation-model/{MODEL}", account="")
JOB = {"TransformJobName": "My-Job"}
TARGET = "x-amz-target"


@pytest.mark.parametrize(
    ("blueprint", "needed"),
    [
        # SageMaker
        (
            calling("sagemaker", "/endpoints/My-Endpoint/invocations"),
            {"sagemaker:InvokeEndpoint": arn("endpoint/my-endpoint", "sagemaker")},
        ),
        (
            calling("sagemaker", "/endpoints/a/async-invocations/"),
            {"sagemaker:InvokeEndpointAsync": arn("endpoint/a", "sagemaker")},
        ),
        (
            calling("sagemaker", "/endpoints/a/invocations-response-stream"),
            {"sagemaker:InvokeEndpointWithResponseStream": arn("endpoint/a", "sagemaker")},
        ),
        (
            calling(
                "sagemaker", "/endpoints/${parameters.name}/invocations?x=1", {"name": "${parameters.n}", "n": "B"}
            ),
            {"sagemaker:InvokeEndpoint": arn("endpoint/b", "sagemaker")},
        ),
        # Bedrock: models
        (calling("bedrock", f"/model/{MODEL}/invoke"), {"bedrock:InvokeModel": FOUNDATION}),
        (calling("bedrock", "/model/amazon.titan-embed-text-v2%3A0/converse"), {"bedrock:InvokeModel": FOUNDATION}),
        (calling("bedrock", "/model/${parameters.m}/invoke", {"m": MODEL}), {"bedrock:InvokeModel": FOUNDATION}),
        (
            calling("bedrock", f"/model/{MODEL}/invoke-with-response-stream"),
            {"bedrock:InvokeModelWithResponseStream": FOUNDATION},
        ),
        (
            calling("bedrock", f"/model/{MODEL}/converse-stream"),
            {"bedrock:InvokeModelWithResponseStream": FOUNDATION},
        ),
        (
            calling("bedrock", f"/model/{MODEL}/converse", {"_llm_interface": "bedrock/converse/claude"}),
            {"bedrock:InvokeModel": FOUNDATION, "bedrock:InvokeModelWithResponseStream": FOUNDATION},
        ),
        (
            calling(
                "bedrock",
                "/openai/v1/chat/completions",
                {"m": "openai.gpt-oss-20b-1:0"},
                request_body='{"model": "${parameters.m}"}',
            ),
            {"bedrock:InvokeModel": arn("foundation-model/openai.gpt-oss-20b-1:0", account="")},
        ),
        *(
            (
                calling("bedrock", f"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A{ACCOUNT}%3A{kind}%2Fabc/invoke"),
                {"bedrock:InvokeModel": arn(f"{kind}/abc", region="us-east-1")},
            )
            for kind in (
                *("provisioned-model", "custom-model-deployment", "imported-model"),
                *("application-inference-profile", "prompt-router", "default-prompt-router"),
            )
        ),
        # Bedrock: the rest
        (
            calling("bedrock", "/guardrail/g1/version/DRAFT/apply"),
            {"bedrock:ApplyGuardrail": arn("guardrail/g1")},
        ),
        (calling("bedrock", "/knowledgebases/KB1/retrieve"), {"bedrock:Retrieve": arn("knowledge-base/KB1")}),
        (
            calling(
                "bedrock",
                "/rerank",
                request_body=f'{{"a": [{{"modelArn": "{arn("foundation-model/r", account="")}"}}]}}',
            ),
            {"bedrock:Rerank": "*", "bedrock:InvokeModel": arn("foundation-model/r", account="")},
        ),
        # JSON services
        (
            calling("comprehend", "", headers={"X-Amz-Target": "Comprehend_20171127.DetectDominantLanguage"}),
            {"comprehend:DetectDominantLanguage": "*"},
        ),
        (
            calling(
                "comprehend",
                "",
                {"v": "20171127", "name": "DetectSentiment", "api": "Comprehend_${parameters.v}.${parameters.name}"},
                headers={TARGET: "${parameters.api}"},
            ),
            {"comprehend:DetectSentiment": "*"},
        ),
        (
            calling(
                "comprehend",
                "/",
                headers={TARGET: "Comprehend_20171127.ClassifyDocument"},
                request_body=f'{{"EndpointArn": "{arn("document-classifier-endpoint/d", "comprehend")}"}}',
            ),
            {"comprehend:ClassifyDocument": arn("document-classifier-endpoint/d", "comprehend")},
        ),
        (
            calling("textract", "", headers={TARGET: "Textract.DetectDocumentText"}),
            {"textract:DetectDocumentText": "*"},
        ),
        (
            calling("rekognition", "", headers={TARGET: "RekognitionService.DetectLabels"}),
            {"rekognition:DetectLabels": "*"},
        ),
        (
            calling("translate", "", headers={TARGET: "AWSShineFrontendService_20170701.TranslateText"}),
            {"translate:TranslateText": "*"},
        ),
        (
            calling("lambda", "/2015-03-31/functions/embed/invocations"),
            {"lambda:InvokeFunction": arn("function:embed", "lambda")},
        ),
    ],
)
def test_what_a_call_needs_is_told_by_its_url(blueprint: Blueprint, needed: dict[str, str]) -> None:
    assert required(blueprint) == {name: (resource,) for name, resource in needed.items()}


def test_a_batch_transform_may_also_be_asked_for_and_stopped_as_the_cluster_does() -> None:
    batch = calling(
        "sagemaker",
        "/CreateTransformJob",
        JOB,
        action_type="batch_predict",
        request_body='{"TransformJobName": "${parameters.TransformJobName}"}',
    )
    job = (arn("transform-job/my-job", "sagemaker"),)
    assert required(batch) == {
        "sagemaker:InvokeEndpoint": (arn("endpoint/e", "sagemaker"),),
        **{f"sagemaker:{verb}TransformJob": job for verb in ("Create", "Describe", "Stop")},
    }


def test_a_batch_job_of_bedrock_passes_its_own_role() -> None:
    body = f'{{"modelId": "{MODEL}", "roleArn": "{ROLE}-batch"}}'
    batch = calling("bedrock", "/model-invocation-job", action_type="batch_predict", request_body=body)
    found = permissions.required(batch, ACCOUNT, "aws")
    jobs = arn("model-invocation-job/*")
    assert (
        Permission(
            "iam:PassRole", (f"{ROLE}-batch",), {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
        )
        in found
    )
    for verb in ("Create", "Get", "Stop"):
        assert Permission(f"bedrock:{verb}ModelInvocationJob", (jobs,)) in found
    assert Permission("bedrock:CreateModelInvocationJob", (FOUNDATION,)) in found


@pytest.mark.parametrize("geography", ["us", "eu", "apac", "jp", "au", "ca", "us-gov"])
def test_a_profile_needs_itself_and_through_it_alone_its_model_in_every_region(geography: str) -> None:
    name = f"{geography}.anthropic.claude-sonnet-4-v1:0"
    profile = arn(f"inference-profile/{name}")
    whole = f"/model/{profile.replace(':', '%3A').replace('/', '%2F')}/invoke"
    for path in (f"/model/{name}/invoke", whole):
        document = policies.permission_policy(permissions.required(calling("bedrock", path), ACCOUNT, "aws"))
        assert document["Statement"] == [
            {
                "Effect": "Allow",
                "Action": "bedrock:InvokeModel",
                "Resource": "arn:aws:bedrock:*::foundation-model/anthropic.claude-sonnet-4-v1:0",
                "Condition": {"StringLike": {"bedrock:InferenceProfileArn": profile}},
            },
            {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": profile},
        ]
        model = "arn:aws:bedrock:eu-west-3::foundation-model/anthropic.claude-sonnet-4-v1:0"
        through = {"bedrock:InferenceProfileArn": profile}
        assert decide([document], "bedrock:InvokeModel", model, through) == "allowed"
        assert decide([document], "bedrock:InvokeModel", model) == "implicitDeny"


def test_a_global_profile_needs_its_model_here_and_in_no_region() -> None:
    found = permissions.required(calling("bedrock", "/model/global.a.b/converse"), ACCOUNT, "aws")
    assert [p.resources for p in found if p.condition] == [
        (arn("foundation-model/a.b", account=""), "arn:aws:bedrock:::foundation-model/a.b")
    ]


def test_the_partition_is_the_domains() -> None:
    found = permissions.required(calling("bedrock", f"/model/{MODEL}/invoke"), ACCOUNT, "aws-us-gov")
    assert found == [Permission("bedrock:InvokeModel", (FOUNDATION.replace("aws", "aws-us-gov"),))]


def test_the_documents_own_connector_needs_its_endpoint_and_not_every_one() -> None:
    blueprint = parse_blueprint("seed", {"connector": seeds.SAGEMAKER_ROLE}, source="seed")
    document = policies.permission_policy(permissions.required(blueprint, ACCOUNT, "aws"))
    endpoint = f"arn:aws:sagemaker:region:{ACCOUNT}:endpoint/endpoint-id"
    assert document["Statement"] == [{"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": endpoint}]
    assert decide([seeds.SAGEMAKER_PERMISSIONS], "sagemaker:InvokeEndpoint", endpoint) == "allowed"


def test_a_secret_is_read_and_another_accounts_role_is_all_that_ours_assumes() -> None:
    secret, other = arn("secret:key-AbCdEf", "secretsmanager"), "arn:aws:iam::444455556666:role/invoke"
    credential = {"roleArn": ROLE, "secretArn": secret}
    header = {"Authorization": "Bearer ${credential.secretArn.key}"}
    http = parsed({"credential": credential, "actions": [action(headers=header)]})
    assert required(http) == {"secretsmanager:GetSecretValue": (secret,)}
    signed = parsed(
        {
            "protocol": "aws_sigv4",
            "credential": {"roleArn": ROLE, "externalAccountRoleArn": other},
            "parameters": {"region": REGION, "service_name": "bedrock"},
            "actions": [action(url=f"{HOST}/model/{MODEL}/invoke")],
        }
    )
    assert required(signed) == {"sts:AssumeRole": (other,)}


def test_a_connector_that_signs_nothing_needs_nothing() -> None:
    assert required(parsed()) == {}


# ---- what the URL does not tell


@pytest.mark.parametrize(
    ("blueprint", "why", "example"),
    [
        (
            calling("sagemaker", "/endpoints/${parameters.name}/invocations"),
            "a predict may fill what it calls",
            "arn:${variables.partition}:sagemaker:eu-central-1:${variables.account_id}:endpoint/name",
        ),
        (calling("bedrock", "/model/${parameters.m}/invoke"), "a predict may fill", "foundation-model/NAME"),
        (
            calling("bedrock", f"/model/arn%3Aaws%3Abedrock%3A{REGION}%3A{ACCOUNT}%3Aprompt-router%2Fx/invoke"),
            "which models stand behind it is not said",
            "bedrock:*::foundation-model/MODEL",
        ),
        (
            calling(
                "bedrock",
                f"/model/arn%3Aaws%3Abedrock%3A{REGION}%3A{ACCOUNT}%3Aapplication-inference-profile%2Fx/invoke",
            ),
            "which models stand behind it is not said",
            f'"bedrock:InferenceProfileArn": "{arn("application-inference-profile/x")}"',
        ),
        (calling("bedrock", "/rerank"), "a predict names the model", "bedrock:InvokeModel"),
        (
            calling("bedrock", "/retrieveAndGenerate"),
            "this call of bedrock is not one that is known here",
            "bedrock:ACTION",
        ),
        (calling("sagemaker", "/CreateTransformJob"), "a predict names the job", "transform-job/PREFIX-*"),
        (
            calling("comprehend", "", headers={TARGET: "Comprehend_20171127.${parameters.api}"}),
            "a predict may fill what it calls",
            "comprehend:NAME",
        ),
        (
            calling("rekognition", "", headers={TARGET: "RekognitionService.SearchFaces"}),
            "its resource is not known here",
            "rekognition:SearchFaces",
        ),
        (calling("execute-api", "/prod/x"), "this call of execute-api is not one that is known", "execute-api:ACTION"),
    ],
)
def test_what_the_url_does_not_tell_is_a_finding_with_a_statement_to_write(
    blueprint: Blueprint, why: str, example: str
) -> None:
    (finding,) = permissions.underivable(without_statements(blueprint))
    assert finding.path == "connector.actions.0.url"
    assert why in finding.problem
    assert example in finding.fix
    assert finding.fix.startswith("Write it under iam_role.statements, for instance - {")


def test_it_is_none_where_the_user_wrote_statements_or_we_do_not_manage_the_role() -> None:
    blueprint = calling("execute-api", "/prod/x")
    assert permissions.underivable(blueprint) == []
    assert blueprint.iam_role
    unmanaged = blueprint.iam_role.model_copy(update={"statements": [], "manage": False})
    assert permissions.underivable(blueprint.model_copy(update={"iam_role": unmanaged})) == []
    assert permissions.underivable(blueprint.model_copy(update={"iam_role": None})) == []
