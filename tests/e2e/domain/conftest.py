"""A domain for the end-to-end tests: its stack runs for these alone, and is gone before the others' stack starts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.airflow_standalone import AirflowStandalone
from local.aws_account.process import AwsAccount
from local.domain_gateway.process import DomainGateway
from local.domain_stack import DOMAIN_ARN, DomainStack
from local.model_endpoints.process import ModelEndpoints
from tests.support.cluster import Cluster
from tests.support.domain_stacks import TITAN, local_target, running
from tests.support.repository import REPOSITORY

OF_A_USER = Path(__file__).parent / "dags"
TITAN_DIMENSION = 512


@pytest.fixture(scope="module")
def domain_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainStack]:
    """A domain, an account without the roles, model endpoints and Airflow; everything it made is gone afterwards."""
    folder = tmp_path_factory.mktemp("domain-stack")
    dags = folder / "dags"
    shutil.copytree(REPOSITORY / "dags", dags)
    shutil.copytree(OF_A_USER, dags, dirs_exist_ok=True)
    stack = DomainStack(folder)
    signed = {"domain_arn": DOMAIN_ARN, "aws_conn_id": "aws_default", "ca_certs": str(stack.opensearch.ca_path)}
    stack.environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        f"AIRFLOW_CONN_{TITAN.upper()}": json.dumps({"conn_type": "opensearch", "extra": signed}),
    }
    with running(stack):
        target = local_target(stack)
        target |= {"opensearch_conn_id": TITAN, "variables": target["variables"] | {"dimension": TITAN_DIMENSION}}
        (folder / "targets" / "titan.yaml").write_text(yaml.safe_dump(target))
        yield stack


@pytest.fixture
def airflow(domain_stack: DomainStack) -> AirflowStandalone:
    """The stack's Airflow."""
    assert domain_stack.airflow
    return domain_stack.airflow


@pytest.fixture
def account(domain_stack: DomainStack) -> AwsAccount:
    """The AWS account, which checks every call."""
    return domain_stack.account


@pytest.fixture
def gateway(domain_stack: DomainStack) -> DomainGateway:
    """The domain's endpoint, which has been asked nothing yet."""
    assert domain_stack.gateway
    domain_stack.gateway.forget_requests()
    return domain_stack.gateway


@pytest.fixture
def cluster(domain_stack: DomainStack) -> Cluster:
    """The cluster behind the domain's endpoint, as its administrator sees it."""
    return Cluster(domain_stack.opensearch, domain_stack.version)


@pytest.fixture
def models(domain_stack: DomainStack) -> ModelEndpoints:
    """SageMaker, Bedrock, Comprehend and OpenAI, which have been asked nothing yet."""
    assert domain_stack.model_endpoints
    domain_stack.model_endpoints.forget_requests()
    return domain_stack.model_endpoints
