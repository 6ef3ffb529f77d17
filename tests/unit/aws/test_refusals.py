"""What a domain of Amazon OpenSearch Service, and the AWS service behind a connector, say when they refuse."""

from __future__ import annotations

import json

import pytest
from opensearchpy.exceptions import TransportError

from opensearch_ml import errors
from opensearch_ml.aws.refusals import RefusedAction, refused_action
from opensearch_ml.client.error_mapping import translate
from opensearch_ml.errors import OpenSearchMLError

USER = "arn:aws:iam::111122223333:user/airflow"
SESSION = "arn:aws:sts::111122223333:assumed-role/airflow/airflow_aws_search"
ROLE = "arn:aws:iam::111122223333:role/opensearch-sagemaker-role"
DOMAIN = "arn:aws:es:eu-central-1:111122223333:domain/search"
ENDPOINT = "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/embed"


def told(status: int, message: str, key: str = "message", aws_conn_id: str | None = "aws_search") -> OpenSearchMLError:
    """Our error for a domain's answer."""
    body = {key: message}
    return translate(
        TransportError(status, json.dumps(body), body), conn_id="opensearch_domain", aws_conn_id=aws_conn_id
    )


def told_by_opensearch(status: int, reason: str) -> OpenSearchMLError:
    """Our error for an answer of OpenSearch itself."""
    error = {"root_cause": [{"type": "status_exception", "reason": reason}], "type": "status_exception"}
    return translate(TransportError(status, "x", {"error": error, "status": status}), conn_id="opensearch_domain")


EXPIRED = "Signature expired: 20250101T000000Z is now earlier than 20250101T001000Z (20250101T001500Z - 5 min.)"
TOO_EARLY = (
    "Signature not yet current: 20250101T001500Z is still later than 20250101T000500Z (20250101T000000Z + 5 min.)"
)
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request …"
)
REFUSALS = [
    ("The security token included in the request is expired", errors.CredentialsExpired, "have expired", "role_arn"),
    ("The security token included in the request is invalid.", errors.AuthenticationFailed, "not know the", "deleted"),
    (MISMATCH, errors.AuthenticationFailed, "computes another signature", "secret key of connection aws_search"),
    (EXPIRED, errors.AuthenticationFailed, "clock", "NTP"),
    (TOO_EARLY, errors.AuthenticationFailed, "clock", "NTP"),
    (
        "Credential should be scoped to a valid Region, not 'us-east-1'. ",
        errors.AuthenticationFailed,
        "another region",
        "correct domain_arn, or region_name, in the extra of connection opensearch_domain",
    ),
    (
        "Credential should be scoped to correct service: 'aoss'. ",
        errors.AuthenticationFailed,
        "another AWS service",
        "the domain's own endpoint",
    ),
    (
        "User: anonymous is not authorized to perform: es:ESHttpGet because no resource-based policy allows the "
        "es:ESHttpGet action",
        errors.AuthenticationFailed,
        "is not signed",
        '"aws_conn_id"',
    ),
    ("Missing Authentication Token", errors.AuthenticationFailed, "is not signed", '"domain_arn"'),
    (
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter.",
        errors.AuthenticationFailed,
        "is not signed",
        "and no Login",
    ),
    (
        f"User: {SESSION} is not authorized to perform: es:ESHttpPost on resource: {DOMAIN}/_plugins/_ml because no "
        "identity-based policy allows the es:ESHttpPost action",
        errors.PermissionDenied,
        f"{SESSION} may not es:ESHttpPost on {DOMAIN}/_plugins/_ml",
        f"allow es:ESHttpPost on {DOMAIN}/_plugins/_ml to {SESSION} (its identity policy, or the domain's",
    ),
    (
        f"User: {USER} is not authorized to perform: es:ESHttpGet with an explicit deny in an identity-based policy",
        errors.PermissionDenied,
        f"{USER} may not es:ESHttpGet",
        f"a policy denies es:ESHttpGet to {USER} in as many words",
    ),
    (
        f"User: {USER} is not authorized to perform: iam:PassRole on resource: {ROLE}",
        errors.PermissionDenied,
        f"{USER} may not pass the connector's role",
        f"allow iam:PassRole on {ROLE} to {USER} (condition iam:PassedToService",
    ),
    (
        f"User: anonymous is not authorized to perform: iam:PassRole on resource: {ROLE}",
        errors.PermissionDenied,
        "an internal user of the domain cannot pass",
        '"aws_conn_id"',
    ),
    (
        "Cross-account pass role is not allowed.",
        errors.PermissionDenied,
        "is in another account",
        "externalAccountRoleArn",
    ),
    (
        f"User: {SESSION} is not authorized to perform: sts:AssumeRole on resource: {ROLE}",
        errors.PermissionDenied,
        "may not assume the other account's role",
        f"let the trust policy of {ROLE} name it",
    ),
    (
        f"User: opensearchservice.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: {ROLE}",
        errors.PermissionDenied,
        f"Amazon OpenSearch Service may not assume the connector's role {ROLE}",
        "aws:SourceArn",
    ),
]


@pytest.mark.parametrize("key", ["message", "Message"])
@pytest.mark.parametrize(("message", "error", "cause", "fix"), REFUSALS)
def test_each_refusal_of_a_domain_has_its_own_cause_and_fix(
    message: str, error: type[OpenSearchMLError], cause: str, fix: str, key: str
) -> None:
    found = told(403, message, key)
    assert type(found) is error
    assert cause in found.cause
    assert fix in found.fix
    assert found.evidence == f"request -> 403 {message.rstrip()}"


def test_no_two_refusals_are_told_alike() -> None:
    causes = [told(403, message).cause for message, *_ in REFUSALS]
    assert len(set(causes)) == len(causes) - 3  # the clock before and after; three ways of no signature


def test_the_connection_whose_keys_signed_is_named() -> None:
    message = "The security token included in the request is invalid."
    assert "connection aws_search" in told(403, message).fix
    assert "the AWS connection" in told(403, message, aws_conn_id=None).fix


def test_what_the_managed_service_does_not_offer_is_no_wrong_password() -> None:
    found = told(401, "Your request: '/_cluster/settings' payload is not allowed.", "Message")
    assert type(found) is errors.RequestRefused
    assert "does not offer" in found.cause
    assert type(told(401, "Unauthorized")) is errors.AuthenticationFailed


def test_a_role_on_a_self_managed_cluster_is_told_with_the_alternative() -> None:
    found = told_by_opensearch(400, "Missing credential")
    assert type(found) is errors.RequestRefused
    assert "no domain of Amazon OpenSearch Service" in found.cause
    assert "access_key, secret_key" in found.fix


@pytest.mark.parametrize("status", [400, 403])
def test_a_permission_that_the_model_platform_misses_is_named(status: int) -> None:
    words = (
        f"User: {SESSION} is not authorized to perform: sagemaker:InvokeEndpoint on resource: {ENDPOINT} because no "
        "identity-based policy allows the sagemaker:InvokeEndpoint action"
    )
    found = told_by_opensearch(status, f"Error from remote service: {json.dumps({'message': words})}")
    assert type(found) is errors.RemoteModelRefused
    assert f"{SESSION} may not sagemaker:InvokeEndpoint on {ENDPOINT}" in found.cause
    assert f"allow sagemaker:InvokeEndpoint on {ENDPOINT} to {SESSION}" in found.fix
    assert "permission policy of the role" in found.fix


def test_session_keys_of_a_connector_that_expired_are_not_taken_for_the_callers() -> None:
    words = "Error from remote service: " + json.dumps(
        {"message": "The security token included in the request is expired"}
    )
    found = told_by_opensearch(403, words)
    assert type(found) is errors.RemoteModelRefused
    assert "the connector's session keys have expired" in found.cause


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            f"User: {USER} is not authorized to perform: iam:GetRole on resource: role bedrock because no "
            "identity-based policy allows the iam:GetRole action",
            RefusedAction(USER, "iam:GetRole", "role bedrock", False),
        ),
        (
            f'{{"message":"User: {USER} is not authorized to perform: es:ESHttpGet on resource: {DOMAIN}"}}',
            RefusedAction(USER, "es:ESHttpGet", DOMAIN, False),
        ),
        (
            rf"{{\"message\":\"User: {USER} is not authorized to perform: es:ESHttpGet on resource: {DOMAIN}\"}}",
            RefusedAction(USER, "es:ESHttpGet", DOMAIN, False),
        ),
        (
            f"User: {USER} is not authorized to perform: bedrock:InvokeModel on resource: {ENDPOINT}/v1.0:0 with an "
            "explicit deny in a service control policy",
            RefusedAction(USER, "bedrock:InvokeModel", f"{ENDPOINT}/v1.0:0", True),
        ),
        (
            f"User: {USER} is not authorized to perform: es:ESHttpGet because no identity-based policy allows it",
            RefusedAction(USER, "es:ESHttpGet", None, False),
        ),
        (
            "User: anonymous is not authorized to perform: es:ESHttpHead",
            RefusedAction("anonymous", "es:ESHttpHead", None, False),
        ),
        (
            f"User: {USER} is not authorized to perform: iam:PassRole on resource: {ROLE}. Another sentence.",
            RefusedAction(USER, "iam:PassRole", ROLE, False),
        ),
        ("no permissions for [cluster:admin/opensearch/ml/predict]", None),
        ("", None),
    ],
)
def test_who_may_not_do_what_is_read_from_the_words(words: str, expected: RefusedAction | None) -> None:
    assert refused_action(words) == expected
