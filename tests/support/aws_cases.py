"""What the tests of the AWS account share: documents, and calls whose refusal is expected."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local.aws_account.process import AwsAccount

ACCOUNT, OTHER = "123456789012", "999999999999"
OURS = f"arn:aws:iam::{ACCOUNT}"
SERVICE = "opensearchservice.amazonaws.com"
DOMAIN = f"arn:aws:es:us-east-1:{ACCOUNT}:domain/logs"
ENDPOINT = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/embedding"
FROM_DOMAIN = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": DOMAIN}
CONDITIONS = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": DOMAIN}}
TRUST = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole", "Condition": CONDITIONS}
INVOKE = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": ENDPOINT}


def signed_by(key: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a client that signs with this key."""
    return {
        "aws_access_key_id": key["access_key_id"],
        "aws_secret_access_key": key["secret_access_key"],
        "aws_session_token": key.get("session_token"),
    }


def session_of(sts: Any, role_arn: str, **options: Any) -> dict[str, Any]:
    made = sts.assume_role(RoleArn=role_arn, RoleSessionName="airflow", **options)["Credentials"]
    return {
        "access_key_id": made["AccessKeyId"],
        "secret_access_key": made["SecretAccessKey"],
        "session_token": made["SessionToken"],
    }


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def status_of(call: Callable[..., Any], *parameters: Any, **more: Any) -> tuple[int, str]:
    with pytest.raises(httpx.HTTPStatusError) as raised:
        call(*parameters, **more)
    return raised.value.response.status_code, raised.value.response.json()["message"]


def assumable(account: AwsAccount, role_arn: str) -> bool:
    try:
        account.assume(role_arn, SERVICE, FROM_DOMAIN)
    except httpx.HTTPStatusError:
        return False
    return True


def eventually(check: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)
