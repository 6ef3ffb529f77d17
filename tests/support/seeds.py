"""The connector bodies of the official documents, as they stand there but for their secrets, which are references.

Sources: "Amazon OpenSearch Service ML connectors for AWS services"; OpenSearch documentation 2.9 to 3.7, "Building
blueprints", "Connecting to other ML platforms", "Creating connectors for third-party ML platforms".
"""

from __future__ import annotations

import json
from typing import Any


def _reference(field: str) -> dict[str, str]:
    return {"conn_id": "my_platform", "field": field}


_AWS_KEYS = {name: _reference(f"extra.{name}") for name in ("access_key", "secret_key", "session_token")}

SAGEMAKER_ROLE: dict[str, Any] = {
    "name": "sagemaker: embedding",
    "description": "Test connector for Sagemaker embedding model",
    "version": 1,
    "protocol": "aws_sigv4",
    "credential": {"roleArn": "arn:aws:iam::111122223333:role/opensearch-sagemaker-role"},
    "parameters": {"region": "region", "service_name": "sagemaker"},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "headers": {"content-type": "application/json"},
            "url": "https://runtime.sagemaker.region.amazonaws.com/endpoints/endpoint-id/invocations",
            "request_body": '{ "inputs": { "question": "${parameters.question}", '
            '"context": "${parameters.context}" } }',
        }
    ],
}

SAGEMAKER_TEMPLATE: dict[str, Any] = {
    "name": "<YOUR CONNECTOR NAME>",
    "description": "<YOUR CONNECTOR DESCRIPTION>",
    "version": "<YOUR CONNECTOR VERSION>",
    "protocol": "aws_sigv4",
    "credential": _AWS_KEYS,
    "parameters": {"region": "<ADD YOUR AWS REGION HERE>", "service_name": "sagemaker"},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "headers": {"content-type": "application/json"},
            "url": "<ADD YOUR Sagemaker MODEL ENDPOINT URL>",
            "request_body": "<ADD YOUR REQUEST BODY. Example: ${parameters.inputs}>",
        }
    ],
}

OPENAI_CHAT: dict[str, Any] = {
    "name": "OpenAI Chat Connector",
    "description": "The connector to public OpenAI model service for GPT 3.5",
    "version": 1,
    "protocol": "http",
    "parameters": {"endpoint": "api.openai.com", "model": "gpt-3.5-turbo"},
    "credential": {"openAI_key": _reference("password")},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://${parameters.endpoint}/v1/chat/completions",
            "headers": {"Authorization": "Bearer ${credential.openAI_key}"},
            "request_body": '{ "model": "${parameters.model}", "messages": ${parameters.messages} }',
        }
    ],
}

OPENAI_COMPLETIONS: dict[str, Any] = {
    "name": "OpenAI Connector",
    "description": "The connector to public OpenAI model service for GPT 3.5",
    "version": 1,
    "protocol": "http",
    "parameters": {"endpoint": "api.openai.com", "max_tokens": 7, "temperature": 0, "model": "text-davinci-003"},
    "credential": {"openAI_key": _reference("password")},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://${parameters.endpoint}/v1/completions",
            "headers": {"Authorization": "Bearer ${credential.openAI_key}"},
            "request_body": '{ "model": "${parameters.model}", "prompt": "${parameters.prompt}", '
            '"max_tokens": ${parameters.max_tokens}, "temperature": ${parameters.temperature} }',
        }
    ],
}

SAGEMAKER_REGION: dict[str, Any] = {
    "name": "sagemaker: embedding",
    "description": "Test connector for Sagemaker embedding model",
    "version": 1,
    "protocol": "aws_sigv4",
    "credential": _AWS_KEYS,
    "parameters": {"region": "us-west-2", "service_name": "sagemaker"},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "headers": {"content-type": "application/json"},
            "url": "https://runtime.sagemaker.${parameters.region}.amazonaws.com"
            "/endpoints/lmi-model-2023-06-24-01-35-32-275/invocations",
            "request_body": '["${parameters.inputs}"]',
        }
    ],
}

COHERE: dict[str, Any] = {
    "name": "Cohere Embed Model",
    "description": "The connector to Cohere's public embed API",
    "version": "1",
    "protocol": "http",
    "credential": {"cohere_key": _reference("password")},
    "parameters": {"model": "embed-english-v3.0", "input_type": "search_document", "truncate": "END"},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://api.cohere.ai/v1/embed",
            "headers": {"Authorization": "Bearer ${credential.cohere_key}", "Request-Source": "unspecified:opensearch"},
            "request_body": '{ "texts": ${parameters.texts}, "truncate": "${parameters.truncate}", '
            '"model": "${parameters.model}", "input_type": "${parameters.input_type}" }',
            "pre_process_function": "connector.pre_process.cohere.embedding",
            "post_process_function": "connector.post_process.cohere.embedding",
        }
    ],
}

BEDROCK: dict[str, Any] = json.loads(
    r"""
{
  "name": "Amazon Bedrock Connector: embedding",
  "description": "The connector to the Bedrock Titan embedding model",
  "version": 1,
  "protocol": "aws_sigv4",
  "parameters": {"region": "us-east-1", "service_name": "bedrock"},
  "actions": [
    {
      "action_type": "predict",
      "method": "POST",
      "url": "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-embed-text-v1/invoke",
      "headers": {"content-type": "application/json", "x-amz-content-sha256": "required"},
      "request_body": "{ \"inputText\": \"${parameters.inputText}\" }",
      "pre_process_function": "\n    StringBuilder builder = new StringBuilder();\n    builder.append(\"\\\"\");\n    String first = params.text_docs[0];\n    builder.append(first);\n    builder.append(\"\\\"\");\n    def parameters = \"{\" +\"\\\"inputText\\\":\" + builder + \"}\";\n    return  \"{\" +\"\\\"parameters\\\":\" + parameters + \"}\";",
      "post_process_function": "\n      def name = \"sentence_embedding\";\n      def dataType = \"FLOAT32\";\n      if (params.embedding == null || params.embedding.length == 0) {\n        return params.message;\n      }\n      def shape = [params.embedding.length];\n      def json = \"{\" +\n                 \"\\\"name\\\":\\\"\" + name + \"\\\",\" +\n                 \"\\\"data_type\\\":\\\"\" + dataType + \"\\\",\" +\n                 \"\\\"shape\\\":\" + shape + \",\" +\n                 \"\\\"data\\\":\" + params.embedding +\n                 \"}\";\n      return json;\n    "
    }
  ]
}
"""  # noqa: E501 (as it stands in the document)
) | {"credential": _AWS_KEYS}

DYNAMIC_HEADER: dict[str, Any] = {
    "name": "My connector",
    "description": "Connector with dynamic headers",
    "version": 1,
    "protocol": "http",
    "parameters": {"endpoint": "api.example.com", "request_id": "default-request-id"},
    "credential": {"api_key": _reference("password")},
    "actions": [
        {
            "action_type": "predict",
            "method": "POST",
            "url": "https://${parameters.endpoint}/predict",
            "headers": {"Authorization": "${credential.api_key}", "X-Test-Request-Id": "${parameters.request_id}"},
            "request_body": '{ "input": "${parameters.input}" }',
        }
    ],
}

AS_THEY_STAND = {"sagemaker_role": SAGEMAKER_ROLE, "cohere": COHERE, "bedrock": BEDROCK}
HOST_IN_A_PARAMETER = {
    "openai_chat": OPENAI_CHAT,
    "openai_completions": OPENAI_COMPLETIONS,
    "sagemaker_region": SAGEMAKER_REGION,
    "dynamic_header": DYNAMIC_HEADER,
}

# The policy documents of "Amazon OpenSearch Service ML connectors for AWS services", their placeholders filled.
DOMAIN_ARN = "arn:aws:es:eu-central-1:111122223333:domain/domain-name"
ROLE_ARN = "arn:aws:iam::111122223333:role/opensearch-sagemaker-role"

SAGEMAKER_PERMISSIONS: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Action": ["sagemaker:InvokeEndpointAsync", "sagemaker:InvokeEndpoint"],
            "Effect": "Allow",
            "Resource": "*",
        }
    ],
}

TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Action": ["sts:AssumeRole"],
            "Effect": "Allow",
            "Principal": {"Service": ["opensearchservice.amazonaws.com"]},
        }
    ],
}

TRUST_CONDITION: dict[str, Any] = {
    "StringEquals": {"aws:SourceAccount": "111122223333"},
    "ArnLike": {"aws:SourceArn": DOMAIN_ARN},
}

CALLER: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE_ARN},
        {"Effect": "Allow", "Action": "es:ESHttpPost", "Resource": f"{DOMAIN_ARN}/*"},
    ],
}
