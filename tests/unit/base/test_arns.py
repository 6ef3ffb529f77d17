from __future__ import annotations

import botocore.session
import pytest

from opensearch_ml.base import arns
from opensearch_ml.base.arns import Arn, DomainArn, Principal, principal_of

DOMAIN = "arn:aws:es:eu-central-1:111122223333:domain/search"


@pytest.mark.parametrize(
    "text",
    [
        DOMAIN,
        "arn:aws:iam::111122223333:role/path/name",
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a/b-AbCdEf",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1",
    ],
)
def test_an_arn_is_put_together_as_it_was_taken_apart(text: str) -> None:
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize("text", ["", "arn:aws:iam", "urn:aws:iam::1:role/x", "arn:aws:iam::1:", "arn:aws::::x"])
def test_what_is_no_arn_is_told_without_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="is no ARN: it has the form arn:PARTITION"):
        Arn.parse(text)


def test_an_unknown_partition_is_told() -> None:
    with pytest.raises(ValueError, match="no known partition"):
        Arn.parse("arn:amazon:iam::111122223333:role/x")


def test_the_partitions_are_those_that_botocore_knows() -> None:
    known = botocore.session.get_session().get_data("partitions")["partitions"]
    assert {one["id"]: one["outputs"]["dnsSuffix"] for one in known} == {
        name: suffix for name, (_, suffix) in arns.PARTITIONS.items()
    }
    for one in known:
        assert {arns.partition_of(region) for region in one["regions"] if "global" not in region} == {one["id"]}


def test_a_domain_tells_the_five_variables() -> None:
    domain = DomainArn.parse("arn:aws-cn:es:cn-north-1:111122223333:domain/search-1")
    assert str(domain) == "arn:aws-cn:es:cn-north-1:111122223333:domain/search-1"
    assert domain.variables() == {
        "region": "cn-north-1",
        "account_id": "111122223333",
        "partition": "aws-cn",
        "dns_suffix": "amazonaws.com.cn",
        "domain_name": "search-1",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arn:aws:es:region:account-id:domain/domain-name", "account that is not twelve digits"),
        ("arn:aws:aoss:eu-central-1:111122223333:collection/x", "serverless collection"),
        ("arn:aws:es:eu-central-1:111122223333:domain/search/*", "domain name that is none"),
        ("arn:aws:es:eu-central-1:111122223333:domain/Search", "domain name that is none"),
        ("arn:aws:es:eu-central-1:111122223333:search", "ARN of something else"),
        ("arn:aws:sagemaker:eu-central-1:111122223333:domain/search", "ARN of something else"),
        ("arn:aws:es:cn-north-1:111122223333:domain/search", "region that is not one of partition aws"),
        ("arn:aws-cn:es:eu-central-1:111122223333:domain/search", "region that is not one of partition aws-cn"),
        ("arn:aws:es::111122223333:domain/search", "region that is not one of partition aws"),
        ("https://search.eu-central-1.es.amazonaws.com", "is no ARN"),
    ],
)
def test_what_is_no_domain_is_told_with_its_cause(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DomainArn.parse(text)


@pytest.mark.parametrize(
    ("caller", "principal", "arn"),
    [
        (
            "arn:aws:sts::111122223333:assumed-role/airflow/session@x",
            Principal("role", "111122223333", "airflow"),
            "arn:aws:iam::111122223333:role/airflow",
        ),
        (
            "arn:aws-cn:iam::111122223333:role/service-role/airflow",
            Principal("role", "111122223333", "airflow", "aws-cn"),
            "arn:aws-cn:iam::111122223333:role/airflow",
        ),
        (
            "arn:aws:iam::111122223333:user/division/jane",
            Principal("user", "111122223333", "jane"),
            "arn:aws:iam::111122223333:user/jane",
        ),
        (
            "arn:aws:iam::111122223333:root",
            Principal("root", "111122223333", "root"),
            "arn:aws:iam::111122223333:root",
        ),
        (
            "arn:aws:sts::111122223333:federated-user/jane",
            Principal("federated-user", "111122223333", "jane"),
            "arn:aws:sts::111122223333:federated-user/jane",
        ),
    ],
)
def test_a_callers_session_stands_for_its_role(caller: str, principal: Principal, arn: str) -> None:
    assert principal_of(caller) == principal
    assert principal.arn == arn


@pytest.mark.parametrize("text", [DOMAIN, "arn:aws:iam::111122223333:policy/x", "arn:aws:iam::111122223333:user/"])
def test_what_is_no_caller_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is not the ARN of a user"):
        principal_of(text)
