"""IAM roles of small blueprints, on a domain of an AWS account: what they should be, and what the account holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local.aws_account.process import AwsAccount
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.iam.role import IamRole, role_for
from tests.support.parsing import parse_blueprint

REGION, ACCOUNT = "us-east-1", "123456789012"
DOMAIN = f"arn:aws:es:{REGION}:{ACCOUNT}:domain/search"
OTHER_DOMAIN = f"arn:aws:es:eu-west-1:{ACCOUNT}:domain/search"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/opensearch-sagemaker-role"
NAME = "opensearch-sagemaker-role"
SERVICE, OLD_SERVICE = "opensearchservice.amazonaws.com", "es.amazonaws.com"
ENDPOINT = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/embedding"
POLICY = f"opensearch_ml-embedding@{REGION}.search"
INVOKE = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": ENDPOINT}
UNMANAGED: dict[str, Any] = {"iam_role": {"manage": False}}
TAG = {"Key": "opensearch_ml_owner", "Value": "opensearch_ml"}
Connect = Callable[..., AwsAccess]


def connection(account: AwsAccount, *, access_key_id: str, secret_access_key: str, **extra: Any) -> str:
    """An Airflow connection to the account, as JSON."""
    # providers-amazon takes no other endpoint for assuming the connection's own role.
    services = {"service_config": {"sts": {"endpoint_url": account.url}}}
    return json.dumps(
        {
            "conn_type": "aws",
            "login": access_key_id,
            "password": secret_access_key,
            "extra": {"region_name": REGION, "endpoint_url": account.url, **services, **extra},
        }
    )


def document(**parts: Any) -> dict[str, Any]:
    """A blueprint that calls SageMaker, with parts changed; its role is managed unless they say else."""
    region = parts.pop("region", REGION)
    endpoint = parts.pop("endpoint", "embedding")
    url = f"https://runtime.sagemaker.{region}.amazonaws.com/endpoints/{endpoint}/invocations"
    connector = {
        "name": "SageMaker",
        "protocol": "aws_sigv4",
        "parameters": {"region": region, "service_name": "sagemaker"},
        "credential": {"roleArn": parts.pop("role_arn", ROLE)},
        "actions": [{"action_type": "predict", "method": "POST", "url": url, "request_body": "${parameters.input}"}],
    }
    return {"connector": connector, "iam_role": {}, **parts}


def role(name: str = "embedding", *, domain: str = DOMAIN, **parts: Any) -> IamRole:
    """The role of such a blueprint on a domain."""
    found = role_for(parse_blueprint(name, document(**parts), source=name), DomainArn.parse(domain))
    assert found
    return found


def trust(*domains: str, service: str = SERVICE, **changed: Any) -> dict[str, Any]:
    """A statement, not ours, that lets a service in for domains."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": list(domains)}},
        **changed,
    }


def trust_of(account: AwsAccount) -> list[dict[str, Any]]:
    """The statements of the role's trust policy."""
    found = account.client("iam").get_role(RoleName=NAME)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    return list(found)


def policies_of(account: AwsAccount) -> dict[str, list[dict[str, Any]]]:
    """The statements of the role's inline policies."""
    iam = account.client("iam")
    names = iam.list_role_policies(RoleName=NAME)["PolicyNames"]
    return {name: iam.get_role_policy(RoleName=NAME, PolicyName=name)["PolicyDocument"]["Statement"] for name in names}


def assume(account: AwsAccount, domain: str = DOMAIN, service: str = SERVICE) -> dict[str, Any]:
    """Assume the role as the domain does it."""
    context = {"aws:SourceAccount": domain.split(":")[4], "aws:SourceArn": domain}
    return account.assume(ROLE, service, context)
