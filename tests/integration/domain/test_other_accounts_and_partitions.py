"""Models that another account owns, and a domain of another partition: from nothing to an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.aws_account.process import document
from local.domain_gateway.process import start_domain_gateway
from opensearch_ml.base.arns import DomainArn
from opensearch_ml.catalog.catalog import Catalog
from tests.support.domain_world import ACCOUNT, BLUEPRINT, ENDPOINT, ROLE_ARN, ROLE_NAME, World, allowed
from tests.support.domains import NAME, REGION
from tests.support.repository import REPOSITORY

OTHER_ACCOUNT = "210987654321"
EXTERNAL_ARN = f"arn:aws:iam::{OTHER_ACCOUNT}:role/external"
CHINA = "cn-north-1"
CHINESE_ROLE_ARN = f"arn:aws-cn:iam::{ACCOUNT}:role/{ROLE_NAME}"


def policies_of(iam: Any) -> list[dict[str, Any]]:
    """The statements of the connector's role."""
    [name] = iam.list_role_policies(RoleName=ROLE_NAME)["PolicyNames"]
    found: list[dict[str, Any]] = iam.get_role_policy(RoleName=ROLE_NAME, PolicyName=name)["PolicyDocument"][
        "Statement"
    ]
    return found


def test_another_accounts_model_is_invoked_by_its_own_role_which_ours_assumes(world: World) -> None:
    its_endpoint = f"arn:aws:sagemaker:{REGION}:{OTHER_ACCOUNT}:endpoint/{ENDPOINT}"
    let_in = [{"Effect": "Allow", "Principal": {"AWS": ROLE_ARN}, "Action": "sts:AssumeRole"}]
    invoke = [{"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": its_endpoint}]
    world.account.create_role("external", let_in, invoke, account_id=OTHER_ACCOUNT)
    world.document["connector"]["credential"]["externalAccountRoleArn"] = EXTERNAL_ARN
    world.ready()
    world.account.forget_writes()
    model_id = world.provision()
    assert [(one.status, one.principal) for one in world.endpoints.requests()] == [
        (200, f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/external/{NAME}")
    ]
    # Ours may do nothing but assume the other one, which is not ours to write.
    assert policies_of(world.account.client("iam")) == [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": EXTERNAL_ARN}
    ]
    assert world.account.writes() == {"iam:CreateRole": 1, "iam:PutRolePolicy": 1}
    assert world.provision() == model_id


@pytest.fixture
def chinese_world(world: World) -> Iterator[World]:
    """The same world in partition aws-cn: its own domain, user and endpoint."""
    account, cluster = world.account, world.domain.cluster
    arn = account.create_domain(NAME, CHINA)
    assert arn == f"arn:aws-cn:es:{CHINA}:{ACCOUNT}:domain/{NAME}"
    account.create_sagemaker_endpoint(ENDPOINT, CHINA)
    with start_domain_gateway(cluster, account.url, arn) as gateway:
        account.override_domain(CHINA, NAME, endpoint=gateway.url.removeprefix("https://"), fine_grained=True)
        world.domain = replace(world.domain, arn=arn, gateway=gateway)
        iam = account.client("iam", CHINA)
        iam.create_user(UserName="airflow")
        statements = [one for given in allowed(world.domain).values() for one in given]
        in_china = document(statements).replace("arn:aws:", "arn:aws-cn:")
        iam.put_user_policy(UserName="airflow", PolicyName="allowed", PolicyDocument=in_china)
        key = iam.create_access_key(UserName="airflow")["AccessKey"]
        world.aws |= {"login": key["AccessKeyId"], "password": key["SecretAccessKey"]}
        world.aws["extra"]["region_name"] = CHINA
        world.connection["extra"]["domain_arn"] = arn
        yield world


def test_a_domain_of_another_partition_goes_from_nothing_to_an_answer_within_it(chinese_world: World) -> None:
    world = chinese_world
    world.ready()
    world.account.forget_writes()
    model_id = world.provision()
    assert [(one.status, one.principal) for one in world.endpoints.requests()] == [
        (200, f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/{ROLE_NAME}/{NAME}")
    ]
    iam = world.account.client("iam", CHINA)
    assert policies_of(iam) == [
        {
            "Effect": "Allow",
            "Action": "sagemaker:InvokeEndpoint",
            "Resource": f"arn:aws-cn:sagemaker:{CHINA}:{ACCOUNT}:endpoint/{ENDPOINT}",
        }
    ]
    found = iam.get_role(RoleName=ROLE_NAME)["Role"]
    assert found["Arn"] == CHINESE_ROLE_ARN
    [trust] = found["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["ArnLike"] == {"aws:SourceArn": world.domain.arn}
    world.account.forget_writes()
    assert world.provision() == model_id
    assert world.account.writes() == {}


def test_what_a_blueprint_takes_from_a_domain_is_of_its_partition() -> None:
    catalog = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "no_targets")
    arn = DomainArn.parse(f"arn:aws-cn:es:{CHINA}:{ACCOUNT}:domain/{NAME}")
    connector = catalog.blueprint(BLUEPRINT, domain_arn=arn).connector
    assert connector.credential["roleArn"] == CHINESE_ROLE_ARN
    assert connector.parameters["region"] == CHINA
    assert connector.urls == [f"https://runtime.sagemaker.{CHINA}.amazonaws.com.cn/endpoints/{ENDPOINT}/invocations"]
