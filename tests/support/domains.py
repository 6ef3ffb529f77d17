"""A domain for all tests: the gateway before a real OpenSearch with proxy authentication, in an AWS account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests_aws4auth import AWS4Auth

from local.aws_account.process import AwsAccount, start_aws_account
from local.distribution import DEFAULT_VERSION
from local.domain_gateway.process import DomainGateway, start_domain_gateway
from local.opensearch import OpenSearchCluster
from tests.support.cluster import Cluster

REGION = "eu-west-1"
NAME = "search"
EVERYTHING = "everything"  # a role that may do all; the administrator's own must not be mapped anew

Key = Mapping[str, str]
Statement = dict[str, Any]


@dataclass
class Domain:
    """The domain under test."""

    arn: str
    cluster: OpenSearchCluster
    account: AwsAccount
    gateway: DomainGateway

    def request(self, method: str, path: str, key: Key | None = None, **options: Any) -> requests.Response:
        """Send a request, signed with a key, or as ``options`` say."""
        if key:
            options["auth"] = AWS4Auth(
                key["access_key_id"],
                key["secret_access_key"],
                options.pop("region", REGION),
                options.pop("service", "es"),
                session_token=key.get("session_token"),
            )
        with requests.Session() as session:
            session.trust_env = False  # REQUESTS_CA_BUNDLE would win over the cluster's own CA
            session.verify = str(self.cluster.ca_path)
            return session.request(method, self.gateway.url + path, timeout=60, **options)

    def as_admin(self, method: str, path: str, **options: Any) -> requests.Response:
        """As the administrator of the cluster's internal user database."""
        return self.request(method, path, auth=(self.cluster.admin_user, self.cluster.admin_password), **options)

    def map_role(self, role: str, **who: Sequence[str]) -> None:
        """Let somebody, by ``users`` or ``backend_roles``, have a role of the Security plugin."""
        self.as_admin("PUT", f"/_plugins/_security/api/rolesmapping/{role}", json=who).raise_for_status()

    def http_allowed(self, *methods: str) -> Statement:
        """An IAM statement for requests to this domain."""
        actions = [f"es:ESHttp{method}" for method in methods or ("*",)]
        return {"Effect": "Allow", "Action": actions, "Resource": f"{self.arn}/*"}

    def reset(self) -> None:
        """A right clock, and an account that holds nothing but the domain."""
        self.account.reset()
        self.account.create_domain(NAME, REGION)
        self.gateway.set_clock_offset(0)
        self.gateway.forget_requests()

    def clean(self) -> None:
        """Delete what a test may have left in the cluster."""
        self.as_admin("DELETE", f"/_plugins/_security/api/rolesmapping/{EVERYTHING}")
        Cluster(self.cluster, DEFAULT_VERSION).clean()

    def session(self, role_arn: str, key: Key, name: str = "airflow") -> dict[str, str]:
        """A session of a role, for the owner of a key."""
        sts = self.account.client(
            "sts", aws_access_key_id=key["access_key_id"], aws_secret_access_key=key["secret_access_key"]
        )
        issued = sts.assume_role(RoleArn=role_arn, RoleSessionName=name)["Credentials"]
        return {
            "access_key_id": issued["AccessKeyId"],
            "secret_access_key": issued["SecretAccessKey"],
            "session_token": issued["SessionToken"],
        }


@contextmanager
def running_domain(home: Path) -> Iterator[Domain]:
    """Start a domain with all that it needs, and end it."""
    cluster = OpenSearchCluster(home / "opensearch", heap="512m", preferred_port=0, proxy_auth=True)
    try:
        cluster.start()
        with start_aws_account() as account:
            cluster.wait_until_healthy()
            arn = account.create_domain(NAME, REGION)
            with start_domain_gateway(cluster, account.url, arn) as gateway:
                domain = Domain(arn, cluster, account, gateway)
                everything = {"index_patterns": ["*"], "allowed_actions": ["*"]}
                role = {"cluster_permissions": ["*"], "index_permissions": [everything]}
                domain.as_admin("PUT", f"/_plugins/_security/api/roles/{EVERYTHING}", json=role).raise_for_status()
                yield domain
    finally:
        cluster.delete()
