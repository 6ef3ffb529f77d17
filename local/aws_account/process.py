"""The AWS account as a process: start it, fill it, steer it, ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from local.aws_account.root_user import ACCOUNT_ID, ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY
from local.server_process import ServerProcess, start_server

REGION = "us-east-1"
POLICY_NAME = "allowed"  # of the inline policy that create_user and create_role write

_TIMEOUT_S = 30.0
_NEVER = "inf"

Statements = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class AwsAccount(ServerProcess):
    """The running account: give ``url`` to boto3 as ``endpoint_url``."""

    def client(
        self, service: str, region: str = REGION, *, account_id: str = ACCOUNT_ID, **credentials: str | None
    ) -> Any:
        """A boto3 client of this account.

        :param account_id: another account, which is there as soon as it is named; for the root user only.
        :param credentials: as :func:`boto3.client` names them; the account's root user if none are given.
        """
        root = {"aws_access_key_id": ROOT_ACCESS_KEY_ID, "aws_secret_access_key": ROOT_SECRET_ACCESS_KEY}
        made = boto3.client(service, endpoint_url=self.url, region_name=region, **(credentials or root))
        if account_id != ACCOUNT_ID:
            made.meta.events.register(
                "before-sign", lambda request, **_: request.headers.add_header("x-moto-account-id", account_id)
            )
        return made

    # ---- what is in it

    def create_user(self, name: str, statements: Statements = ()) -> dict[str, str]:
        """A user who may do exactly this.

        :return: its ``access_key_id`` and ``secret_access_key``.
        """
        iam = self.client("iam")
        iam.create_user(UserName=name)
        self.set_user_statements(name, statements)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}

    def set_user_statements(self, name: str, statements: Statements) -> None:
        """Let a user of :meth:`create_user` do this instead; it counts at once."""
        iam = self.client("iam")
        if statements:
            iam.put_user_policy(UserName=name, PolicyName=POLICY_NAME, PolicyDocument=document(statements))
        elif POLICY_NAME in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=POLICY_NAME)

    def delete_user(self, name: str) -> None:
        """:raises botocore.exceptions.ClientError: NoSuchEntity."""
        iam = self.client("iam")
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        for policy in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)

    def create_role(
        self,
        name: str,
        trust: Statements,
        statements: Statements = (),
        *,
        account_id: str = ACCOUNT_ID,
        region: str = REGION,
        **options: Any,
    ) -> str:
        """A role that these trust statements let in, and that may do this.

        :param region: tells the partition.
        :param options: as IAM's CreateRole names them: ``Path``, ``PermissionsBoundary``, ``Tags``.
        :return: its ARN.
        """
        iam = self.client("iam", region, account_id=account_id)
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust), **options)["Role"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=document(statements))
        return str(role["Arn"])

    def delete_role(self, name: str) -> None:
        """:raises botocore.exceptions.ClientError: NoSuchEntity."""
        iam = self.client("iam")
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)

    def create_domain(
        self,
        name: str,
        region: str = REGION,
        *,
        engine: str = "OpenSearch_2.19",
        access_policies: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> str:
        """An OpenSearch Service domain.

        :param engine: the version that it says it has.
        :param overrides: of :meth:`override_domain`.
        :return: its ARN.
        """
        policies = {"AccessPolicies": json.dumps(access_policies)} if access_policies else {}
        made = self.client("opensearch", region).create_domain(DomainName=name, EngineVersion=engine, **policies)
        if overrides:
            self.override_domain(region, name, **overrides)
        return str(made["DomainStatus"]["ARN"])

    def create_sagemaker_endpoint(self, name: str, region: str = REGION) -> str:
        """A SageMaker endpoint, as DescribeEndpoint tells it; it answers nothing.

        :return: its ARN.
        """
        sagemaker = self.client("sagemaker", region)
        variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        role = f"arn:aws:iam::{ACCOUNT_ID}:role/sagemaker"
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": "model"})
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return str(sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)["EndpointArn"])

    # ---- how it behaves

    @contextmanager
    def checking_calls(self) -> Iterator[None]:
        """Check keys, signatures and permissions of all API calls, and stop that at the end."""
        self.check_calls()
        try:
            yield
        finally:
            self.check_calls(False)

    def check_calls(self, wanted: bool = True) -> None:
        """Check keys, signatures and permissions of all API calls from now on, or no longer."""
        self._request("POST", "moto-api/reset-auth", content="0" if wanted else _NEVER)

    def set(self, **settings: float | None) -> None:
        """Change settings.

        :param settings: ``propagation_s``: a new role, or a change of a role's policies, made from now on is seen only
            after it; ``key_propagation_s``: the same of a user's new access key;
            ``longest_session_s``: STS shortens sessions from now on, and says so, ``None``: as asked for;
            ``session_lifetime_s``: sessions older than that are over whatever STS said, ``None``: as STS said.
        """
        self._request("PUT", "_account/settings", json=settings)

    def expire_sessions(self) -> None:
        """End all sessions but those that services hold."""
        self._request("POST", "_account/expire-sessions")

    def override_domain(self, region: str, name: str, **overrides: Any) -> None:
        """Change what DescribeDomain answers.

        :param overrides: ``endpoint`` or ``vpc_endpoint`` (``host:port``), ``fine_grained`` (bool).
        """
        self._request("PUT", f"_account/domains/{region}/{name}", json=overrides)

    def reset(self) -> None:
        """Forget everything: what is in it, settings, writes; calls are not checked any more."""
        self._request("POST", "_account/reset")

    # ---- what it tells

    def writes(self) -> dict[str, int]:
        """Mutating calls that were let through since the last :meth:`forget_writes`: ``{"iam:CreateRole": 1}``."""
        counts: dict[str, int] = self._request("GET", "_account/writes")
        return counts

    def forget_writes(self) -> None:
        self._request("DELETE", "_account/writes")

    def key(self, access_key_id: str) -> dict[str, Any]:
        """Secret, session token, principal and end (``expires_at``) of a key.

        :raises httpx.HTTPStatusError: 404: unknown, deleted or inactive.
        """
        found: dict[str, Any] = self._request("GET", f"_account/keys/{access_key_id}")
        return found

    def sessions(self) -> list[dict[str, Any]]:
        """The keys of all sessions that were ever issued, as :meth:`key` tells them, oldest first."""
        issued: list[dict[str, Any]] = self._request("GET", "_account/sessions")
        return issued

    def authorize(
        self,
        action: str,
        resource: str,
        *,
        context: Mapping[str, Any] | None = None,
        resource_policy: Mapping[str, Any] | None = None,
        **principal: str,
    ) -> str:
        """Ask whether a principal may do that: ``allowed``, ``explicitDeny`` or ``implicitDeny``.

        :param principal: ``access_key_id`` or ``principal_arn``.
        :raises httpx.HTTPStatusError: 404: unknown principal; 403: its session is over.
        """
        asked = {"action": action, "resource": resource, "context": context, "resource_policy": resource_policy}
        return str(self._request("POST", "_account/authorize", json={**principal, **asked})["decision"])

    def assume(
        self, role_arn: str, service: str, context: Mapping[str, str], *, session_name: str = "service"
    ) -> dict[str, Any]:
        """A session of a role for a service; its keys and ``expires_at``.

        :raises httpx.HTTPStatusError: 404: no such role (yet); 403: its trust policy does not let the service in.
        """
        asked = {"role_arn": role_arn, "service": service, "context": context, "session_name": session_name}
        session: dict[str, Any] = self._request("POST", "_account/assume", json=asked)
        return session

    def _request(self, method: str, path: str, **options: Any) -> Any:
        # Never through a proxy that the environment may name: this is the same machine.
        answer = httpx.request(method, f"{self.url}/{path}", timeout=_TIMEOUT_S, trust_env=False, **options)
        answer.raise_for_status()
        return answer.json()


def start_aws_account(*, port: int = 0, log_file: Path | None = None) -> AwsAccount:
    """Start the account on 127.0.0.1; use it in a ``with`` statement, or call ``stop()``.

    :param port: TCP port; a free one if 0.
    :param log_file: where its log of requests goes; a temporary file if not given.
    :raises ServerStartError: it did not come up.
    """
    return start_server(
        AwsAccount, "local.aws_account", ["--port", str(port)], ready_path="/_account/writes", log_file=log_file
    )


def document(statements: Statements) -> str:
    """A policy document with these statements, as JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
