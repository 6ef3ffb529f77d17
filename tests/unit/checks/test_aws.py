from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from opensearch_ml.base.arns import OPENSEARCH_SERVICE
from opensearch_ml.checks import aws
from tests.support.examples import action, document, only, parsed, paths, refusal, refused

ROLE = "arn:aws:iam::111122223333:role/opensearch-sagemaker-role"
OTHER_ROLE = "arn:aws:iam::444455556666:role/invoke"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:openai/key-AbCdEf"
KEYS = {key: {"conn_id": "aws", "field": f"extra.{key}"} for key in ("access_key", "secret_key", "session_token")}
SAGEMAKER = "https://runtime.sagemaker.eu-central-1.amazonaws.com/endpoints/e/invocations"


def signed(
    url: str = SAGEMAKER, service: str = "sagemaker", region: str = "eu-central-1", **fields: Any
) -> dict[str, Any]:
    """A connector that signs its one action."""
    return {
        "protocol": "aws_sigv4",
        "credential": fields.pop("credential", {"roleArn": ROLE}),
        "parameters": {"region": region, "service_name": service},
        "actions": [action(url=url, **fields)],
    }


def with_secret(
    credential: dict[str, Any] | None = None, header: str = "Bearer ${credential.secretArn.key}"
) -> dict[str, Any]:
    """A connector whose API key is in Secrets Manager."""
    return {
        "credential": {"secretArn": SECRET, "roleArn": ROLE} if credential is None else credential,
        "actions": [action(headers={"Authorization": header})],
    }


# ---- what is fine


@pytest.mark.parametrize(
    "connector",
    [
        signed(),
        signed(credential=KEYS),
        signed(credential={"roleArn": ROLE, "externalAccountRoleArn": OTHER_ROLE}),
        signed(credential={"roleArn": {"conn_id": "aws", "field": "extra.role"}}),
        signed("https://api.sagemaker.eu-central-1.amazonaws.com/CreateTransformJob"),
        signed(
            "https://runtime-fips.sagemaker.us-gov-west-1.amazonaws.com/endpoints/e/invocations",
            "sagemaker",
            "us-gov-west-1",
        ),
        signed("https://vpce-0a1-b2.runtime.sagemaker.eu-central-1.vpce.amazonaws.com/endpoints/e/invocations"),
        signed("https://bedrock-runtime.eu-central-1.amazonaws.com/model/a/invoke", "bedrock"),
        signed("https://bedrock-runtime.eu-central-1.api.aws/model/a/invoke", "bedrock"),
        signed("https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/a/invoke", "bedrock", "cn-north-1"),
        signed("http://127.0.0.1:8080/endpoints/e/invocations"),
        signed("https://gateway.example.com/model/a/invoke", "bedrock"),
        signed("https://abc.execute-api.eu-central-1.amazonaws.com/x", "execute-api"),
        signed("https://comprehend.eu-central-1.amazonaws.com", "comprehend", headers={"x-AMZ-target": "C.D"}),
        with_secret(),
    ],
)
def test_what_aws_takes_is_fine(connector: dict[str, Any]) -> None:
    assert parsed(connector)


# ---- keys, roles, secrets


@pytest.mark.parametrize(
    ("connector", "path", "words"),
    [
        (signed(credential={"roleArn": ROLE, **KEYS}), "connector.credential", "roleArn beside access_key, secret_key"),
        (
            signed(credential={"roleArn": ROLE, "session_token": KEYS["session_token"]}),
            "connector.credential",
            "roleArn beside session_token",
        ),
        (
            signed(credential={"session_token": KEYS["session_token"]}),
            "connector.credential",
            "signs with access_key and secret_key",
        ),
        (
            signed(credential={**KEYS, "externalAccountRoleArn": OTHER_ROLE}),
            "connector.credential.externalAccountRoleArn",
            "is without roleArn",
        ),
        (
            signed(credential={"roleArn": ROLE, "externalAccountRoleArn": ROLE}),
            "connector.credential.externalAccountRoleArn",
            "is roleArn itself",
        ),
        (
            signed(credential={"roleArn": ROLE, "externalAccountRoleArn": OTHER_ROLE.replace("aws", "aws-cn")}),
            "connector.credential.externalAccountRoleArn",
            "another partition",
        ),
        (with_secret({"secretArn": SECRET}), "connector.credential.secretArn", "is without roleArn"),
        (with_secret(header="Bearer ${credential.secretArn}"), "connector.credential.secretArn", "by no header"),
        (
            with_secret({"secretArn": SECRET, "roleArn": ROLE, "k": {"conn_id": "a"}}, "${credential.k}"),
            "connector.credential.secretArn",
            "by no header",
        ),
        (
            {"credential": {"roleArn": ROLE, "key": {"conn_id": "a"}}},
            "connector.credential.roleArn",
            "protocol http signs nothing",
        ),
    ],
)
def test_parts_of_a_credential_that_do_not_go_together_are_told(
    connector: dict[str, Any], path: str, words: str
) -> None:
    finding = only(refused(connector))
    assert finding.path == path
    assert words in finding.problem


@pytest.mark.parametrize("key", ["roleArn", "externalAccountRoleArn"])
def test_a_role_with_the_documents_placeholder_for_an_account_is_told(key: str) -> None:
    credential = {"roleArn": ROLE, key: "arn:aws:iam::account-id:role/opensearch-sagemaker-role"}
    finding = only(refused(signed(credential=credential)))
    assert finding.path == f"connector.credential.{key}"
    assert "its account is not twelve digits" in finding.problem
    assert "${variables.account_id}" in finding.fix


@pytest.mark.parametrize("end", ["openai", "openai-key", "openai-AbCdE", ""])
def test_a_secrets_arn_needs_the_six_characters_that_the_service_added(end: str) -> None:
    credential = {"roleArn": ROLE, "secretArn": f"arn:aws:secretsmanager:eu-central-1:111122223333:secret:{end}"}
    finding = only(refused(with_secret(credential)))
    assert "does not look like a secretArn" in finding.problem
    assert "six characters at its end" in finding.fix


def test_a_key_of_the_secret_needs_a_secret() -> None:
    error = refused(with_secret({"key": {"conn_id": "a"}}))
    assert "uses ${credential.secretArn.key}, which is not there" in only(error).problem


# ---- region and service


@pytest.mark.parametrize(
    ("connector", "path", "words"),
    [
        (
            signed(region="us-east-1"),
            "connector.actions.0.url",
            "is in eu-central-1, and the connector signs for us-east-1",
        ),
        (signed(service="sagemaker-runtime"), "connector.parameters.service_name", "is a host's name"),
        (
            signed("https://bedrock-runtime.eu-central-1.amazonaws.com/model/a/invoke", "bedrock-runtime"),
            "connector.parameters.service_name",
            "not signed for bedrock",
        ),
        (
            signed(service="bedrock"),
            "connector.actions.0.url",
            "endpoint of sagemaker, and the connector signs for bedrock",
        ),
        (
            signed("https://bedrock-runtime.eu-central-1.amazonaws.com/model/a/invoke", "sagemaker"),
            "connector.actions.0.url",
            "endpoint of bedrock",
        ),
        (signed("http://127.0.0.1:1/x", "comprehend"), "connector.actions.0.headers", "has no X-Amz-Target"),
    ],
)
def test_what_would_be_signed_for_another_service_or_region_is_told(
    connector: dict[str, Any], path: str, words: str
) -> None:
    finding = only(refused(connector))
    assert finding.path == path
    assert words in finding.problem


def test_a_service_name_in_the_credential_is_told_there() -> None:
    connector = signed(credential={"roleArn": ROLE, "service_name": "bedrock-runtime"})
    del connector["parameters"]["service_name"]
    assert only(refused(connector)).path == "connector.credential.service_name"


def test_the_signing_names_are_those_that_botocore_signs_with() -> None:
    session = botocore.session.get_session()
    clients = {"runtime.sagemaker": "sagemaker-runtime", "api.sagemaker": "sagemaker"}
    for endpoint, name in aws.SIGNING_NAMES.items():
        model = session.get_service_model(clients.get(endpoint, endpoint))
        assert (model.endpoint_prefix, model.signing_name) == (endpoint, name)


# ---- the section iam_role


@pytest.mark.parametrize("section", [{}, None, {"manage": False}])
def test_the_section_may_be_empty(section: dict[str, bool] | None) -> None:
    blueprint = parsed(signed(), iam_role=section)
    assert blueprint.iam_role
    assert blueprint.iam_role.trusted_services == [OPENSEARCH_SERVICE]
    assert blueprint.iam_role.manage is (section != {"manage": False})
    assert parsed(signed()).iam_role is None


def test_the_section_needs_a_role_that_is_written_out() -> None:
    assert only(refused(signed(credential=KEYS), iam_role={})).path == "iam_role"
    reference = {"roleArn": {"conn_id": "aws", "field": "extra.role"}}
    assert only(refused(signed(credential=reference), iam_role={})).path == "connector.credential.roleArn"


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"managed": True}, "iam_role.managed"),
        ({"trusted_services": []}, "iam_role.trusted_services"),
        ({"trusted_services": ["opensearchservice"]}, "iam_role.trusted_services.0"),
        ({"permissions_boundary": "boundary"}, "iam_role.permissions_boundary"),
        ({"statements": {}}, "iam_role.statements"),
        ({"description": "x" * 1001}, "iam_role.description"),
    ],
)
def test_a_field_of_the_section_that_is_wrong_is_told(section: dict[str, Any], path: str) -> None:
    assert only(refused(signed(), iam_role=section)).path == path


ALLOW = {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"}


@pytest.mark.parametrize(
    "statement",
    [
        ALLOW,
        {
            **ALLOW,
            "Sid": "Mine1",
            "Action": ["bedrock:*", "s3:Get?bject"],
            "Resource": ["arn:aws:s3:::a", "arn:aws:s3:::b/*"],
        },
        {"Effect": "Deny", "NotAction": "*", "NotResource": "arn:aws:s3:::a"},
        {**ALLOW, "Condition": {"StringEquals": {"aws:RequestedRegion": ["a", "b"]}}},
    ],
)
def test_a_users_own_statement_may_hold_wildcards(statement: dict[str, Any]) -> None:
    assert parsed(signed(), iam_role={"statements": [statement]})


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"Effect": "allow"}, ".Effect"),
        ({"Effect": None}, ".Effect"),
        ({"Actions": "s3:Get"}, ".Actions"),
        ({"Principal": "*"}, ".Principal"),
        ({"Action": None}, ""),
        ({"Action": []}, ""),
        ({"Action": ["s3:Get", 1]}, ""),
        ({"NotAction": "s3:Get"}, ""),
        ({"Action": "InvokeModel"}, ".Action"),
        ({"Resource": ""}, ""),
        ({"Resource": ["endpoint/x"]}, ".Resource"),
        ({"Condition": ["x"]}, ".Condition"),
        ({"Condition": {"StringEquals": "x"}}, ".Condition"),
        ({"Sid": "not-alphanumeric"}, ".Sid"),
    ],
)
def test_a_statement_that_iam_would_refuse_is_told(change: dict[str, Any], path: str) -> None:
    error = refused(signed(), iam_role={"statements": [ALLOW, {**ALLOW, **change}]})
    assert paths(error) == [f"iam_role.statements.1{path}"]


def test_two_statements_of_one_sid_are_told() -> None:
    statement = {**ALLOW, "Sid": "Same"}
    assert paths(refused(signed(), iam_role={"statements": [statement, statement]})) == ["iam_role.statements.1.Sid"]


def test_what_the_connector_does_not_tell_about_its_role_is_told_with_what_to_write() -> None:
    written = document(signed("http://127.0.0.1:1/endpoints/${parameters.name}/invocations"), iam_role={})
    finding = only(refusal(written))
    assert finding.path == "connector.actions.0.url"
    assert '"Action": "sagemaker:InvokeEndpoint"' in finding.fix
    written["iam_role"] = {"statements": [ALLOW]}
    assert parsed(written["connector"], iam_role=written["iam_role"])


@pytest.mark.parametrize(
    "url", ["https://[", "https://runtime.sagemaker.[1].amazonaws.com/", "https://[::1]]/a?[b", "["]
)
def test_a_url_that_no_parser_reads_is_a_finding_like_any_other(url: str) -> None:
    keys = {name: {"conn_id": "aws_default"} for name in ("access_key", "secret_key")}
    parameters = {"region": "us-east-1", "service_name": "sagemaker"}
    connector = {"protocol": "aws_sigv4", "credential": keys, "parameters": parameters, "actions": [action(url=url)]}
    assert "connector.actions.0.url" in paths(refused(connector))
    role = {"roleArn": "arn:aws:iam::111122223333:role/a"}
    assert "connector.actions.0.url" in paths(refused(connector | {"credential": role}, iam_role={}))
