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
