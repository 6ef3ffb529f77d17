"""The embedded stack as Amazon OpenSearch Service: a cluster behind a domain gateway, an AWS account, signed requests.

The account holds what a platform team would find there: a domain, SageMaker's endpoint, a secret, and a role for
Airflow. The role that the domain assumes is not there: making it is what the DAG is for.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, ClassVar

from local.airflow_standalone import free_port
from local.aws_account.process import REGION, AwsAccount
from local.aws_account.root_user import ACCOUNT_ID
from local.domain_gateway.process import DomainGateway, start_domain_gateway
from local.model_endpoints.keys import save_keys
from local.model_endpoints.process import ModelEndpoints, start_model_endpoints
from local.opensearch import OpenSearchCluster
from local.server_process import ServerProcess
from local.stack import FOLDER, Stack

DOMAIN_FOLDER = FOLDER / "domain"
DOMAIN_NAME = "search"
DOMAIN_ARN = f"arn:aws:es:{REGION}:{ACCOUNT_ID}:domain/{DOMAIN_NAME}"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role"
ENDPOINTS = ("opensearch-embedding", "opensearch-question-answering", "opensearch-async")
SECRET = "opensearch-openai"  # noqa: S105 its name

# What Airflow's role may do, and no more.
AIRFLOW_MAY = (
    {
        "Effect": "Allow",
        "Action": ["es:ESHttpGet", "es:ESHttpPost", "es:ESHttpPut", "es:ESHttpDelete"],
        "Resource": f"{DOMAIN_ARN}/*",
    },
    {"Effect": "Allow", "Action": "es:DescribeDomain", "Resource": DOMAIN_ARN},
    {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"{ROLE_ARN}/opensearch-*",
        "Condition": {"StringEquals": {"iam:PassedToService": "opensearchservice.amazonaws.com"}},
    },
    {
        "Effect": "Allow",
        "Action": [
            *("iam:CreateRole", "iam:TagRole", "iam:DeleteRole", "iam:UpdateAssumeRolePolicy"),
            *("iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListInstanceProfilesForRole"),
        ],
        "Resource": f"{ROLE_ARN}/opensearch-*",
    },
    {
        "Effect": "Allow",
        "Action": [
            *("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"),
            *("iam:GetPolicy", "iam:GetPolicyVersion", "iam:SimulatePrincipalPolicy", "sagemaker:DescribeEndpoint"),
        ],
        "Resource": "*",
    },
)


class DomainStack(Stack):
    """A stack whose OpenSearch is a domain; Airflow reaches it with signed requests only."""

    handles: ClassVar[dict[str, type[ServerProcess]]] = {**Stack.handles, "moto": AwsAccount, "gateway": DomainGateway}

    @cached_property
    def opensearch(self) -> OpenSearchCluster:
        """The cluster behind the gateway."""
        return OpenSearchCluster(
            self.folder / f"opensearch-{self.version}",
            version=self.version,
            preferred_port=free_port(9200),
            proxy_auth=True,
            say=self.say,
        )

    @property
    def account(self) -> AwsAccount:
        """The AWS account; it must run."""
        account = self.moto
        assert isinstance(account, AwsAccount)  # noqa: S101 started by `up`
        return account

    @property
    def gateway(self) -> DomainGateway | None:
        """The domain's endpoint, if it runs."""
        return self._running("gateway", DomainGateway)

    def airflow_environment(self) -> dict[str, str]:
        """Return the connections and settings that Airflow is started with: no password of the cluster for the DAGs."""
        user = json.loads((self.folder / "airflow_user.json").read_text())
        ca = {"ca_certs": str(self.opensearch.ca_path)}
        gateway = self.gateway
        connections: dict[str, dict[str, Any]] = {
            "OPENSEARCH_DEFAULT": {
                "conn_type": "opensearch",
                "extra": {"domain_arn": DOMAIN_ARN, "aws_conn_id": "aws_default", **ca},
            },
            "OPENSEARCH_MASTER": {
                "conn_type": "opensearch",
                "host": gateway.url if gateway else "",
                "login": self.opensearch.admin_user,
                "password": self.opensearch.admin_password,
                "extra": ca,
            },
            "AWS_DEFAULT": {
                "conn_type": "aws",
                "login": user["access_key_id"],
                "password": user["secret_access_key"],
                "extra": {
                    "region_name": REGION,
                    "role_arn": f"{ROLE_ARN}/airflow",
                    "endpoint_url": self.account.url,
                    "service_config": {"sts": {"endpoint_url": self.account.url}},
                },
            },
        }
        return super().airflow_environment() | {
            f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()
        }

    def _start_model_endpoints(self) -> ModelEndpoints:
        return start_model_endpoints(
            keys={key: value for key, value in self.keys.items() if key != "aws"},
            port=self._port("model endpoints"),
            log_file=self.folder / "model_endpoints.log",
            account_url=self.account.url,
        )

    def _start_others(self) -> None:
        if not self.gateway:
            self.say("==> an AWS account with a domain, and the domain's endpoint")
            self._fill_account()
            gateway = start_domain_gateway(
                self.opensearch,
                self.account.url,
                DOMAIN_ARN,
                port=self._port("gateway"),
                log_file=self.folder / "gateway.log",
            )
            self._keep("gateway", gateway)
            self.account.override_domain(
                REGION, DOMAIN_NAME, endpoint=gateway.url.removeprefix("https://"), fine_grained=True
            )

    def _fill_account(self) -> None:
        """What is there before anybody runs the DAG; from then on every call is checked."""
        account = self.account
        account.reset()
        account.create_domain(DOMAIN_NAME, REGION, engine=f"OpenSearch_{self.version.rpartition('.')[0]}")
        for name in ENDPOINTS:
            account.create_sagemaker_endpoint(name, REGION)
        account.client("secretsmanager", REGION).create_secret(
            Name=SECRET, SecretString=json.dumps({"openai_key": self.keys["openai"][0]})
        )
        assume = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        user = account.create_user("airflow", [assume | {"Resource": f"{ROLE_ARN}/airflow"}])
        trust = [assume | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:user/airflow"}}]
        account.create_role("airflow", trust, AIRFLOW_MAY)
        save_keys(self.folder / "airflow_user.json", user)
        account.check_calls()
        account.forget_writes()

    def _target(self) -> dict[str, Any]:
        url = self.model_endpoints.url if self.model_endpoints else ""
        target = super()._target()
        secret = self.account.client("secretsmanager", REGION).describe_secret(SecretId=SECRET)["ARN"]
        variables = {
            **target["variables"],
            **dict.fromkeys(("sagemaker_url", "bedrock_url", "comprehend_url", "textract_url"), url),
            "secret_name": secret.rpartition(":")[2],
        }
        # Who signs is mapped by the DAG; what the demo of a self-managed cluster maps is not needed.
        return {**target, "variables": variables, "role_mapping": {}}
