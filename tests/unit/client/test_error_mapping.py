from __future__ import annotations

import json
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from opensearchpy.exceptions import SerializationError, TransportError

from opensearch_ml import errors
from opensearch_ml.client import connection
from opensearch_ml.client.error_mapping import EVIDENCE_LENGTH, server_words, translate
from opensearch_ml.errors import OpenSearchMLError
from tests.support.answering_server import Answering, Serve
from tests.support.examples import airflow_connection

ML = "/_plugins/_ml"
RAISED: tuple[type[TransportError | SerializationError], ...] = (TransportError, SerializationError)


def translated(
    airflow: Connection, method: str = "POST", path: str = f"{ML}/models/x/_predict", body: Any = None
) -> OpenSearchMLError:
    """Our error for a request that is really sent."""
    with pytest.raises(RAISED) as caught:
        connection.client(airflow).transport.perform_request(method, path, body=body)
    return translate(caught.value, conn_id="my_cluster")


def answered(plain: Answering, status: int, body: str, content_type: str = "application/json") -> OpenSearchMLError:
    """Our error for an answer that is really received."""
    plain.answer(status, body, content_type)
    return translated(airflow_connection(port=plain.port, use_ssl=False))


def server_error(kind: str, reason: str, status: int, caused_by: str | None = None) -> str:
    """An error's body, as OpenSearch writes it."""
    error: dict[str, Any] = {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason}
    if caused_by:
        error["caused_by"] = {"type": "x", "reason": caused_by}
    return json.dumps({"error": error, "status": status})


REMOTE_KEY = 'Error from remote service: {"error": {"message": "Incorrect API key provided: sk-***"}}'
LONG_AGO = "request throttled, forbidden, not found, private ip address, still using this connector"


@pytest.mark.parametrize(
    ("status", "kind", "reason", "expected"),
    [
        # What the model's platform answered, passed through with its own status.
        (400, "status_exception", "Error from remote service: bad input", errors.RemoteModelRefused),
        (401, "status_exception", REMOTE_KEY, errors.RemoteCredentialRefused),
        (403, "status_exception", "Error from remote service: no", errors.RemoteCredentialRefused),
        (404, "status_exception", "Error from remote service: no such model", errors.RemoteModelRefused),
        (409, "status_exception", "Error from remote service: conflict", errors.RemoteModelRefused),
        (429, "status_exception", "Error from remote service: slow down", errors.RemoteModelBusy),
        (500, "status_exception", "Error from remote service: oops", errors.RemoteModelBusy),
        (503, "status_exception", "Error from remote service: overloaded", errors.RemoteModelBusy),
        (404, "status_exception", f"Error from remote service: {LONG_AGO}", errors.RemoteModelRefused),
        (429, "status_exception", "Remote service returned error status 429 with empty body", errors.RemoteModelBusy),
        (
            401,
            "status_exception",
            "Remote service returned error status 401 with empty body",
            errors.RemoteCredentialRefused,
        ),
        (
            400,
            "remote_connector_throttling_exception",
            "Error from remote service: The request was denied due to remote server throttling. To change the retry …",
            errors.RemoteModelBusy,
        ),
        (
            500,
            "status_exception",
            "Error communicating with remote model: Read timed out",
            errors.RemoteModelBusy,
        ),
        (
            500,
            "status_exception",
            "Error communicating with remote model: Connection refused: /10.0.0.1:443",
            errors.RemoteModelBusy,
        ),
        (
            500,
            "status_exception",
            "Error communicating with remote model: The connection was closed during the request. …",
            errors.RemoteModelBusy,
        ),
        (502, "status_exception", "Remote service returned empty response body", errors.RemoteModelBusy),
        (400, "status_exception", "No response from model", errors.RemoteModelBusy),
        (400, "illegal_argument_exception", "Invalid JSON format: Unrecognized token …", errors.RemoteModelRefused),
        (400, "illegal_argument_exception", "no-such: Name or service not known", errors.RequestRefused),
        # What the cluster says by itself.
        (400, "illegal_argument_exception", "Invalid payload: { x }", errors.RequestRefused),
        (
            400,
            "illegal_argument_exception",
            "Some parameter placeholder not filled in payload: a",
            errors.RequestRefused,
        ),
        (400, "parse_exception", "request body is required", errors.RequestRefused),
        (
            400,
            "illegal_argument_exception",
            "Model not ready yet. Please deploy the model first.",
            errors.RequestRefused,
        ),
        (403, "status_exception", "Model is disabled.", errors.RequestRefused),
        (429, "status_exception", "Request is throttled at model level.", errors.ServerBusy),
        (500, "m_l_exception", "Fail to execute PREDICT in aws connector", errors.RequestRefused),
        (
            400,
            "illegal_argument_exception",
            "Connector URL is not matching the trusted connector endpoint regex",
            errors.UntrustedEndpoint,
        ),
        (
            400,
            "illegal_argument_exception",
            "Connector URL is not matching the trusted connector endpoint regex, URL is: https://a.com/x",
            errors.UntrustedEndpoint,
        ),
        (400, "pattern_syntax_exception", "Unclosed group near index 9", errors.RequestRefused),
        (
            400,
            "illegal_argument_exception",
            "Remote inference host name has private ip address: 127.0.0.1",
            errors.RequestRefused,
        ),
        (
            404,
            "status_exception",
            "Remote Inference is currently disabled. To enable it, update the setting …",
            errors.RequestRefused,
        ),
        (400, "illegal_argument_exception", "no eligible node found", errors.DeployFailed),
        (400, "illegal_argument_exception", "no eligible node to run predict request", errors.DeployFailed),
        (
            400,
            "illegal_argument_exception",
            "You cannot specify connector access control parameters because the Security plugin or connector access …",
            errors.RequestRefused,
        ),
        (
            409,
            "status_exception",
            "1 models are still using this connector, please delete or update the models first: [x]",
            errors.InUse,
        ),
        (
            400,
            "status_exception",
            "1 models are still using this connector, please undeploy the models first: [x]",
            errors.InUse,
        ),
        (409, "status_exception", "Cannot delete the model group when it has associated model versions", errors.InUse),
        (409, "version_conflict_engine_exception", "[x]: version conflict, …", errors.Conflict),
        (500, "version_conflict_engine_exception", "[x]: version conflict, …", errors.Conflict),
        (409, "status_exception", "Model is deploying. Please wait for the model …", errors.Conflict),
        (
            400,
            "illegal_argument_exception",
            "The name you provided is already being used by a model group with ID: x.",
            errors.Conflict,
        ),
        (404, "status_exception", "Failed to find model", errors.NotFound),
        (
            403,
            "security_exception",
            "no permissions for [cluster:admin/opensearch/ml/predict]",
            errors.PermissionDenied,
        ),
        (
            403,
            "security_exception",
            "no permissions for [cluster:admin/settings/update] and User [name=x]",
            errors.PermissionDenied,
        ),
        (403, "status_exception", "You don't have permission to access this connector", errors.PermissionDenied),
        (
            400,
            "illegal_argument_exception",
            "You don't have permission to update the connector, connector id: x",
            errors.PermissionDenied,
        ),
        (
            500,
            "m_l_validation_exception",
            "You are not allowed to delete this connector",
            errors.PermissionDenied,
        ),
        (
            503,
            "m_l_exception",
            "The ML encryption master key has not been initialized yet. Please retry after waiting for 10 seconds.",
            errors.ServerBusy,
        ),
        (
            500,
            "resource_not_found_exception",
            "The ML encryption master key has not been initialized yet. Please retry after waiting for 10 seconds.",
            errors.ServerBusy,
        ),
        (503, "cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered]", errors.ServerBusy),
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/12/index read-only]", errors.RequestRefused),
        (429, "circuit_breaking_exception", "[parent] Data too large", errors.ServerBusy),
        (400, "illegal_argument_exception", "Connector name is null", errors.RequestRefused),
        (500, "illegal_state_exception", "Can't get text on a VALUE_NULL at 1:9", errors.RequestRefused),
    ],
)
def test_the_servers_words_and_status_tell_the_error(
    plain: Answering, status: int, kind: str, reason: str, expected: type[OpenSearchMLError]
) -> None:
    error = answered(plain, status, server_error(kind, reason, status))
    assert type(error) is expected
    assert error.evidence == f"POST {ML}/models/x/_predict -> {status} {kind}: {reason}"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "The model `gpt-9` does not exist or you do not have access to it."),
        (403, '{"error": {"message": "Project `x` does not have access to model `gpt-9`", "code": "model_not_found"}}'),
    ],
)
def test_a_model_that_the_platform_does_not_know_is_not_taken_for_a_wrong_key(
    plain: Answering, status: int, said: str
) -> None:
    error = answered(plain, status, server_error("status_exception", f"Error from remote service: {said}", status))
    assert type(error) is errors.RemoteModelRefused
    assert error.cause == "the model's platform has no such model, or not for this credential"
    assert "check parameters.model" in error.fix


@pytest.mark.parametrize(
    ("status", "body", "content_type", "expected", "seen"),
    [
        (401, "Unauthorized", "text/plain; charset=UTF-8", errors.AuthenticationFailed, "401 Unauthorized"),
        (401, "", "text/plain", errors.AuthenticationFailed, "401"),
        (
            404,
            '{"status":"NOT_FOUND","message":"rolesmapping \'ml_full_access\' not found."}',
            "application/json",
            errors.NotFound,
            "404 rolesmapping 'ml_full_access' not found.",
        ),
        (
            403,
            '{"status":"FORBIDDEN","message":"No permission to access REST API: User x with Security roles …"}',
            "application/json",
            errors.PermissionDenied,
            "403 No permission to access REST API: User x with Security roles …",
        ),
        (
            403,
            '{"status":"FORBIDDEN","message":"Resource \'kibana_server\' is reserved."}',
            "application/json",
            errors.PermissionDenied,
            "403 Resource 'kibana_server' is reserved.",
        ),
        (
            400,
            '{"error":"no handler found for uri [/_plugins/_ml/models/x/_predict] and method [POST]"}',
            "application/json",
            errors.RequestRefused,
            "400 no handler found for uri [/_plugins/_ml/models/x/_predict] and method [POST]",
        ),
        (
            403,
            '{"Message":"User: arn:aws:iam::1:user/a is not authorized to perform: es:ESHttpPost"}',
            "application/json",
            errors.PermissionDenied,
            "403 User: arn:aws:iam::1:user/a is not authorized to perform: es:ESHttpPost",
        ),
        (
            403,
            '{"message":"The security token included in the request is expired"}',
            "application/json",
            errors.CredentialsExpired,
            "403 The security token included in the request is expired",
        ),
        (502, "<html>Bad Gateway</html>", "text/html", errors.ServerBusy, "502 <html>Bad Gateway</html>"),
        (504, "", "text/html", errors.ServerBusy, "504"),
        (418, "[1]", "application/json", errors.RequestRefused, "418 [1]"),
        (500, "{not json", "application/json", errors.RequestRefused, "500 {not json"),
    ],
)
def test_answers_of_other_shapes_are_told_too(
    plain: Answering, status: int, body: str, content_type: str, expected: type[OpenSearchMLError], seen: str
) -> None:
    error = answered(plain, status, body, content_type)
    assert type(error) is expected
    assert error.evidence.endswith(seen)


def test_what_caused_an_error_is_told() -> None:
    body = json.loads(server_error("status_exception", "Failed to put data object", 500, caused_by="too large"))
    assert server_words(body) == "status_exception: Failed to put data object (caused by too large)"
    same = json.loads(server_error("a", "reason", 500, caused_by="reason"))
    assert server_words(same) == "a: reason"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_not_followed(plain: Answering, status: int) -> None:
    plain.answer(status, "", "text/html", Location=f"http://127.0.0.1:{plain.port}/elsewhere")
    error = translated(airflow_connection(port=plain.port, use_ssl=False), body={"secret": "x"})
    assert type(error) is errors.RequestRefused
    assert "redirect" in error.cause
    assert [request.path for request in plain.received] == [f"{ML}/models/x/_predict"]


def test_a_page_instead_of_json_is_no_opensearch(plain: Answering) -> None:
    error = answered(plain, 200, "<html>Welcome</html>", "text/html")
    assert type(error) is errors.RequestRefused
    assert "no OpenSearch endpoint" in error.cause


def test_a_closed_port_is_unreachable(closed_port: int) -> None:
    error = translated(airflow_connection(port=closed_port))
    assert type(error) is errors.Unreachable
    assert "refused" in error.evidence
    assert "my_cluster" in error.fix


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    error = translated(airflow_connection("no-such-host.invalid", 9200))
    assert type(error) is errors.Unreachable
    assert "no-such-host.invalid" in error.evidence


def test_a_host_that_does_not_answer_in_time_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = translated(airflow_connection(port=port, use_ssl=False, timeout=0.2))
    assert type(error) is errors.Unreachable
    assert "in time" in error.cause


def test_plain_http_where_tls_is_asked_for_says_so(plain: Answering) -> None:
    error = translated(airflow_connection(port=plain.port))
    assert type(error) is errors.TLSNotVerified
    assert "plain HTTP" in error.cause
    assert '"use_ssl": false' in error.fix


def test_tls_where_plain_http_is_asked_for_says_so(secured: Answering) -> None:
    error = translated(airflow_connection(port=secured.port, use_ssl=False))
    assert type(error) is errors.Unreachable
    assert "scheme" in error.fix


def test_a_certificate_of_an_unknown_authority_is_not_trusted(
    secured: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    error = translated(airflow_connection(port=secured.port))
    assert type(error) is errors.TLSNotVerified
    assert '"ca_certs"' in error.fix


def test_a_certificate_for_another_name_is_not_trusted(serve: Serve, tls: Path) -> None:
    server = serve(with_tls=True, host="127.0.0.2")
    error = translated(airflow_connection("127.0.0.2", server.port, ca_certs=str(tls / "ca.pem")))
    assert type(error) is errors.TLSNotVerified


def test_memory_addresses_are_not_in_the_evidence(closed_port: int) -> None:
    assert " object at 0x" not in translated(airflow_connection(port=closed_port)).evidence


def test_long_words_are_shortened(plain: Answering) -> None:
    error = answered(plain, 400, server_error("x", "y" * 100_000, 400))
    assert len(error.evidence) < EVIDENCE_LENGTH + 100


def test_every_error_survives_pickle_with_all_its_parts(plain: Answering) -> None:
    error = answered(plain, 401, "Unauthorized", "text/plain")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again)) == (type(error), str(error))
    assert "my_cluster" in again.fix


# ---- a domain of Amazon OpenSearch Service, and the AWS service behind a connector


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
