"""Blueprints whose credentials a source supplies, and runs of a source that are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from opensearch_ml.blueprint.models import Blueprint
from tests.support.parsing import parse_blueprint

ROLE_NAME, USER = "models", "models"
ROLE = f"arn:aws:iam::123456789012:role/{ROLE_NAME}"
SECRET = "prod/openai"
# What is killed after a step differs from what is killed before the next one by nothing that is written.
EITHER_SIDE = pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.slow)])


def signing(name: str = "embedding", **rotation: Any) -> Blueprint:
    """A blueprint that signs with what its section ``rotation`` supplies."""
    url = "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/embedding/invocations"
    document = {
        "connector": {
            "name": "SageMaker",
            "protocol": "aws_sigv4",
            "parameters": {"region": "us-east-1", "service_name": "sagemaker"},
            "actions": [
                {"action_type": "predict", "method": "POST", "url": url, "request_body": "${parameters.input}"}
            ],
        },
        "rotation": rotation,
    }
    return parse_blueprint(name, document, source=name)


def with_secret(*, source: str = "secrets_manager", secret_id: str = SECRET, key: str | None = "api_key") -> Blueprint:
    """A blueprint whose key is in Secrets Manager."""
    action = {
        "action_type": "predict",
        "method": "POST",
        "url": "https://api.openai.com/v1/embeddings",
        "headers": {"Authorization": "Bearer ${credential.openAI_key}"},
        "request_body": '{"input": ${parameters.input}}',
    }
    reference = {"secret_id": secret_id, **({"key": key} if key else {})}
    document = {
        "connector": {
            "name": "OpenAI",
            "protocol": "http",
            "credential": {"openAI_key": reference},
            "actions": [action],
        },
        "rotation": {"source": source},
    }
    return parse_blueprint("chat", document, source="chat")


def killed_at(work: Callable[[Callable[[Enum, str], None]], object], step: Enum, when: str) -> bool:
    """Do work in a process of its own, and kill that with SIGKILL at a moment; tell whether it came to that."""

    def journal(reached: Enum, now: str) -> None:
        if (reached, now) == (step, when):
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=work, args=(journal,))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode == -signal.SIGKILL
