"""The world of these tests: a gateway before a real OpenSearch, an AWS account that checks every call, connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.model_endpoints.process import ModelEndpoints
from tests.support.domain_world import BLUEPRINT, ENDPOINT, World, allowed
from tests.support.domains import REGION, Domain
from tests.support.repository import REPOSITORY


@pytest.fixture
def world(
    domain: Domain,
    _endpoints: ModelEndpoints,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """A domain, an account and connections that are all right; call ``ready()`` when what is to be wrong is."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    account = domain.account
    account.create_sagemaker_endpoint(ENDPOINT, REGION)
    key = account.create_user("airflow")
    endpoint = domain.gateway.url.removeprefix("https://")
    account.override_domain(REGION, "search", endpoint=endpoint, fine_grained=True)
    _endpoints.replace_keys({})
    _endpoints.use_account(account.url)
    _endpoints.forget_requests()
    url = _endpoints.url
    made = World(
        domain,
        _endpoints,
        tmp_path,
        monkeypatch,
        may=allowed(domain),
        connection={
            "conn_type": "opensearch",
            "extra": {
                "domain_arn": domain.arn,
                "aws_conn_id": "aws_default",
                "ca_certs": str(domain.gateway.ca_path),
            },
        },
        aws={
            "conn_type": "aws",
            "login": key["access_key_id"],
            "password": key["secret_access_key"],
            "extra": {
                "region_name": REGION,
                "endpoint_url": account.url,
                "service_config": {"sts": {"endpoint_url": account.url}},
            },
        },
        document=yaml.safe_load((REPOSITORY / "include" / "blueprints" / f"{BLUEPRINT}.yaml").read_text()),
        target={"variables": {"sagemaker_url": url}, "settings": {"private_ip_enabled": True}},
    )
    master = {
        "conn_type": "opensearch",
        "host": domain.gateway.url,
        "login": domain.cluster.admin_user,
        "password": domain.cluster.admin_password,
        "extra": {"ca_certs": str(domain.gateway.ca_path)},
    }
    monkeypatch.setenv("AIRFLOW_CONN_OPENSEARCH_MASTER", json.dumps(master))
    account.check_calls()
    account.forget_writes()
    domain.gateway.forget_requests()
    yield made
    _endpoints.use_account(None)
