from __future__ import annotations

import base64
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from opensearchpy.exceptions import SSLError, TransportError

from local.certificates import issue_certificates
from opensearch_ml.client import connection
from opensearch_ml.client.connection import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, address
from opensearch_ml.errors import InvalidConnection
from tests.support.answering_server import Answering, Serve
from tests.support.examples import CANARY, airflow_connection


@pytest.fixture(autouse=True)
def _no_bundle_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def send(airflow: Connection, method: str = "GET", path: str = "/", body: dict[str, Any] | None = None) -> Any:
    return connection.client(airflow).transport.perform_request(method, path, body=body)


# ---- address


def test_without_a_word_tls_is_used_and_verified() -> None:
    found = address(airflow_connection("search.example.com"))
    assert found["use_ssl"] is True
    assert found["verify_certs"] is True
    assert found["hosts"] == [{"host": "search.example.com", "port": 443}]
    assert found["timeout"] == (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    assert found["http_compress"] is False


@pytest.mark.parametrize("word", [True, "true", "True", " TRUE ", "1", 1, "yes", "on"])
def test_true_in_every_spelling(word: bool | int | str) -> None:
    assert address(airflow_connection(use_ssl=word, http_compress=word))["use_ssl"] is True
    assert address(airflow_connection(verify_certs=word))["verify_certs"] is True


@pytest.mark.parametrize("word", [False, "false", "False", " FALSE ", "0", 0, "no", "off"])
def test_false_in_every_spelling(word: bool | int | str) -> None:
    assert address(airflow_connection(use_ssl=word))["use_ssl"] is False
    assert address(airflow_connection(verify_certs=word))["verify_certs"] is False


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_a_form_leaves_empty_is_not_said(nothing: str | None) -> None:
    found = address(airflow_connection(use_ssl=nothing, verify_certs=nothing, timeout=nothing, ca_certs=nothing))
    assert (found["use_ssl"], found["verify_certs"]) == (True, True)


@pytest.mark.parametrize("word", ["flase", "nein", 2, [], {}, "/etc/ca.pem", "none"])
@pytest.mark.parametrize("name", ["use_ssl", "verify_certs", "http_compress"])
def test_what_is_neither_true_nor_false_is_refused(name: str, word: object) -> None:
    extra: dict[str, Any] = {name: word}
    with pytest.raises(InvalidConnection, match=f"connection my_cluster has an extra {name} that is neither"):
        address(airflow_connection(**extra))


@pytest.mark.parametrize(
    ("host", "port", "more", "expected"),
    [
        ("a.com", 9200, {}, ("a.com", 9200, True, "")),
        ("a.com:9201", None, {}, ("a.com", 9201, True, "")),
        ("a.com:9201", 9200, {}, ("a.com", 9200, True, "")),
        ("https://a.com", None, {}, ("a.com", 443, True, "")),
        ("HTTPS://A.com/", None, {}, ("a.com", 443, True, "")),
        ("https://a.com:9200/search/", None, {}, ("a.com", 9200, True, "search")),
        ("http://a.com", None, {}, ("a.com", 9200, False, "")),
        ("http://a.com", None, {"use_ssl": True}, ("a.com", 443, True, "")),
        ("a.com", None, {"scheme": "http"}, ("a.com", 9200, False, "")),
        ("a.com", None, {"scheme": "HTTPS"}, ("a.com", 443, True, "")),
        ("a.com", None, {"schema": "http"}, ("a.com", 9200, False, "")),
        ("a.com", None, {"schema": "opensearch"}, ("a.com", 443, True, "")),
        ("a.com", None, {"use_ssl": False}, ("a.com", 9200, False, "")),
        ("a.com/one", None, {"url_prefix": "two"}, ("a.com", 443, True, "two")),
        ("::1", 9200, {}, ("::1", 9200, True, "")),
        ("[::1]", 9200, {}, ("::1", 9200, True, "")),
        ("[2001:db8::1]:9201", None, {}, ("2001:db8::1", 9201, True, "")),
        ("https://[::1]:9201/x", None, {}, ("::1", 9201, True, "x")),
        (" a.com ", None, {}, ("a.com", 443, True, "")),
    ],
)
def test_host_port_scheme_and_prefix_in_every_form(
    host: str, port: int | None, more: dict[str, Any], expected: tuple[str, int, bool, str]
) -> None:
    found = address(airflow_connection(host, port, **more))
    assert (found["hosts"][0]["host"], found["hosts"][0]["port"], found["use_ssl"], found["url_prefix"]) == expected


@pytest.mark.parametrize(
    ("host", "more", "cause"),
    [
        (None, {}, "names no host"),
        ("", {}, "names no host"),
        ("https://", {}, "names no host"),
        ("https:///x", {}, "names no host"),
        ("a.com:99999", {}, "host that is none"),
        ("a.com:port", {}, "host that is none"),
        ("1:2:3", {}, "host that is none"),
        ("[::1", {}, "host that is none"),
        ("ftp://a.com", {}, "scheme that is neither"),
        ("a.com", {"scheme": "htps"}, "scheme that is neither"),
        ("https://a.com", {"use_ssl": False}, "contradicts itself"),
        ("a.com", {"scheme": "https", "use_ssl": "false"}, "contradicts itself"),
        ("a.com", {"timeout": "soon"}, "timeout that is none"),
        ("a.com", {"timeout": -1}, "timeout that is none"),
        ("a.com", {"timeout": "nan"}, "timeout that is none"),
        ("a.com", {"timeout": "inf"}, "timeout that is none"),
        ("a.com", {"timeout": [1]}, "timeout that is none"),
        ("a.com", {"headers": "x: y"}, "headers that are no JSON object"),
        ("a.com", {"ca_certs": "/no/such/file.pem"}, "has no CA bundle"),
    ],
)
def test_nonsense_is_refused_with_the_connections_name(host: str | None, more: dict[str, Any], cause: str) -> None:
    with pytest.raises(InvalidConnection) as caught:
        address(airflow_connection(host, **more))
    assert cause in caught.value.cause
    assert "my_cluster" in caught.value.cause
    assert "my_cluster" in caught.value.fix


@pytest.mark.parametrize("host", [f"https://admin:{CANARY}@a.com", f"admin:{CANARY}@", f"https://{CANARY}@"])
def test_a_login_in_the_host_is_refused_and_not_shown(host: str) -> None:
    with pytest.raises(InvalidConnection, match="login in its host") as caught:
        address(airflow_connection(host))
    assert CANARY not in repr(caught.value) + str(caught.value)


def test_a_ca_bundle_of_the_environment_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    with pytest.raises(InvalidConnection, match="REQUESTS_CA_BUNDLE"):
        address(airflow_connection())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"verify_certs": False}, "connection my_cluster does not verify the cluster's certificate (verify_certs)"),
        ({"use_ssl": False}, "connection my_cluster is not encrypted: credentials go over the network in clear"),
    ],
)
def test_less_than_verified_tls_warns(caplog: pytest.LogCaptureFixture, more: dict[str, Any], words: str) -> None:
    address(airflow_connection("search.example.com", **more))
    assert caplog.messages == [words]


def test_plain_http_on_the_same_machine_does_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    for host in ("localhost", "127.0.0.1", "::1"):
        address(airflow_connection(host, use_ssl=False))
    assert caplog.messages == []


# ---- a domain of Amazon OpenSearch Service

DOMAIN = "arn:aws:es:eu-central-1:111122223333:domain/search"


def test_the_domain_tells_the_region_that_is_signed_for() -> None:
    airflow = airflow_connection("search.example.com", domain_arn=DOMAIN, aws_conn_id="aws_search")
    assert str(connection.domain_arn(airflow)) == DOMAIN
    assert connection.signing(airflow) == ("aws_search", "eu-central-1")
    same = airflow_connection("h", domain_arn=DOMAIN, aws_conn_id="a", region_name="eu-central-1")
    assert connection.signing(same) == ("a", "eu-central-1")


def test_without_a_domain_the_region_is_named() -> None:
    airflow = airflow_connection("search.example.com", aws_conn_id="aws_search", region_name="cn-north-1")
    assert connection.domain_arn(airflow) is None
    assert connection.signing(airflow) == ("aws_search", "cn-north-1")


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_aws_field_of_a_form_says_nothing(nothing: str | None) -> None:
    airflow = airflow_connection("a.com", domain_arn=nothing, aws_conn_id=nothing, region_name=nothing)
    assert (connection.domain_arn(airflow), connection.signing(airflow)) == (None, None)
    assert not connection.is_managed_service(airflow)


@pytest.mark.parametrize(
    ("more", "cause", "fix"),
    [
        ({"aws_conn_id": "a"}, "names no region", '"domain_arn"'),
        ({"aws_conn_id": "a", "domain_arn": DOMAIN, "region_name": "us-east-1"}, "contradicts", "remove region_name"),
        ({"aws_conn_id": "a", "domain_arn": DOMAIN, "login": "admin"}, "in two ways", "remove aws_conn_id"),
        ({"aws_conn_id": "a", "domain_arn": DOMAIN, "password": CANARY}, "in two ways", "Login or Password"),
        (
            {"aws_conn_id": "a", "domain_arn": DOMAIN, "headers": {"authorization": CANARY}},
            "in two ways",
            "the header Authorization",
        ),
        ({"aws_conn_id": "a", "domain_arn": DOMAIN, "use_ssl": False}, "signed requests in clear", "remove it"),
        ({"domain_arn": "search"}, "domain_arn that is none", "domain/NAME"),
        ({"domain_arn": "arn:aws:aoss:eu-central-1:111122223333:collection/x"}, "that is none", "domain/NAME"),
        ({"domain_arn": 7}, "that is none", "domain/NAME"),
    ],
)
def test_what_says_nothing_about_a_domain_or_two_things_is_refused(more: dict[str, Any], cause: str, fix: str) -> None:
    airflow = airflow_connection("search.example.com", **more)
    with pytest.raises(InvalidConnection) as raised:
        address(airflow)
    assert cause in raised.value.cause
    assert fix in raised.value.fix
    assert CANARY not in str(raised.value)


def test_signed_requests_may_go_in_clear_to_the_same_machine() -> None:
    assert address(airflow_connection("127.0.0.1", use_ssl=False, aws_conn_id="a", domain_arn=DOMAIN))["hosts"]


def test_the_looked_up_endpoint_stands_for_a_host_that_is_empty() -> None:
    airflow = airflow_connection("", domain_arn=DOMAIN, aws_conn_id="a")
    assert address(airflow, "vpc-x.example.com")["hosts"] == [{"host": "vpc-x.example.com", "port": 443}]
    assert address(airflow, "127.0.0.1:1234")["hosts"] == [{"host": "127.0.0.1", "port": 1234}]
    with pytest.raises(InvalidConnection, match="looked up with domain_arn and aws_conn_id"):
        address(airflow_connection("", domain_arn=DOMAIN))


@pytest.mark.parametrize(
    ("host", "extra", "expected"),
    [
        ("search-a-x7.eu-central-1.es.amazonaws.com", {}, True),
        ("https://VPC-a-x7.eu-central-1.es.amazonaws.com:443/", {}, True),
        ("search-a-x7.cn-north-1.es.amazonaws.com.cn", {}, True),
        ("search-a-x7.aos.eu-central-1.on.aws", {}, True),
        ("search-a-x7.aos.cn-north-1.on.amazonwebservices.com.cn", {}, True),
        ("search.example.com", {"domain_arn": DOMAIN}, True),
        ("search.example.com", {"aws_conn_id": "a", "region_name": "eu-central-1"}, True),
        ("", {"domain_arn": DOMAIN}, True),
        ("search.example.com", {}, False),
        ("search.es.example.com", {}, False),
        ("es.amazonaws.com.example.com", {}, False),
        ("x.eu-central-1.aoss.amazonaws.com", {}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_the_managed_service_is_known_by_what_is_said_and_by_its_hosts(
    host: str, extra: dict[str, Any], expected: bool
) -> None:
    assert connection.is_managed_service(airflow_connection(host, **extra)) is expected


# ---- TLS, over real servers


def test_the_connections_own_ca_is_trusted(secured: Answering, tls: Path) -> None:
    assert send(airflow_connection(port=secured.port, ca_certs=str(tls / "ca.pem"))) == {}


def test_the_connections_ca_wins_over_the_environments(
    secured: Answering, tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other-ca.pem"
    other.write_bytes(issue_certificates().ca)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(other))
    assert send(airflow_connection(port=secured.port, ca_certs=str(tls / "ca.pem"))) == {}
    with pytest.raises(SSLError):
        send(airflow_connection(port=secured.port))


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_without_one_the_environments_ca_is_trusted(
    secured: Answering, tls: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(tls / "ca.pem"))
    assert send(airflow_connection(port=secured.port)) == {}


def test_verification_can_be_turned_off_even_where_the_environment_names_a_ca(
    secured: Answering, tls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls / "other.pem"))
    assert send(airflow_connection("localhost", secured.port, verify_certs=False)) == {}


def test_ipv6_is_reached(serve: Serve, tls: Path) -> None:
    server = serve(with_tls=True, host="::1")
    assert send(airflow_connection("::1", server.port, ca_certs=str(tls / "ca.pem"))) == {}


# ---- what is sent


def test_login_and_password_go_as_utf8(plain: Answering) -> None:
    send(airflow_connection(port=plain.port, use_ssl=False, login="jürgen", password="пароль:€"))
    assert plain.received[0].headers["authorization"] == (
        "Basic " + base64.b64encode("jürgen:пароль:€".encode()).decode()
    )


def test_a_netrc_file_is_not_used(plain: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    send(airflow_connection(port=plain.port, use_ssl=False))
    assert "authorization" not in plain.received[0].headers


def test_the_extras_of_the_provider_reach_the_wire(plain: Answering) -> None:
    send(
        airflow_connection(
            port=plain.port,
            use_ssl=False,
            url_prefix="/search/",
            headers={"X-Team": "search", "X-Number": 7},
            opaque_id="airflow",
            http_compress=True,
        ),
        "POST",
        "/_x",
        {"a": 1},
    )
    request = plain.received[0]
    assert request.path == "/search/_x"
    assert request.headers["x-team"] == "search"
    assert request.headers["x-number"] == "7"
    assert request.headers["x-opaque-id"] == "airflow"
    assert request.headers["content-encoding"] == "gzip"


def test_a_proxy_of_the_environment_is_still_used(plain: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{plain.port}")
    send(airflow_connection("search.example.invalid", 80, use_ssl=False))
    assert plain.received[0].path == "http://search.example.invalid:80/"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_request_is_sent_once_however_it_ends(plain: Answering, status: int) -> None:
    plain.answer(status, "{}")
    with pytest.raises(TransportError):
        send(airflow_connection(port=plain.port, use_ssl=False), "POST", "/_create", {"a": 1})
    assert len(plain.received) == 1


def test_a_redirect_does_not_carry_the_body_elsewhere(plain: Answering, serve: Serve) -> None:
    elsewhere = serve()
    plain.answer(307, "", "text/html", Location=f"http://127.0.0.1:{elsewhere.port}/")
    with pytest.raises(TransportError):
        send(airflow_connection(port=plain.port, use_ssl=False), "POST", "/_create", {"secret": CANARY})
    assert elsewhere.received == []


# ---- what is logged


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (200, f'{{"echo": "{CANARY}"}}', "application/json"),
        (400, f'{{"error": {{"reason": "{CANARY}"}}}}', "application/json"),
        (401, CANARY, "text/plain"),
        (500, f"{{broken {CANARY}", "application/json"),
        (200, f"<html>{CANARY}", "text/html"),
    ],
)
def test_no_logger_tells_a_body_or_a_login_even_at_debug(
    plain: Answering, caplog: pytest.LogCaptureFixture, status: int, body: str, content_type: str
) -> None:
    for name in ("", "opensearch", "opensearchpy", "opensearchpy.trace", "urllib3", "requests", "opensearch_ml"):
        logging.getLogger(name).addHandler(caplog.handler)
        caplog.set_level(logging.DEBUG, logger=name or None)
    plain.answer(status, body, content_type)
    try:
        send(
            airflow_connection(port=plain.port, use_ssl=False, login="admin", password=CANARY),
            "POST",
            "/_plugins/_ml/connectors/_create",
            {"credential": {"key": CANARY}},
        )
    except Exception:
        assert status != 200 or content_type == "text/html"
    finally:
        for name in ("opensearch", "opensearchpy", "opensearchpy.trace", "urllib3", "requests", "opensearch_ml"):
            logging.getLogger(name).removeHandler(caplog.handler)
    assert CANARY in plain.received[0].body.decode()
    assert "POST /_plugins/_ml/connectors/_create" in caplog.text
    assert CANARY not in caplog.text
    assert base64.b64encode(f"admin:{CANARY}".encode()).decode() not in caplog.text


def test_a_failed_connection_is_logged_without_the_body(caplog: pytest.LogCaptureFixture, closed_port: int) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TransportError):
        send(airflow_connection(port=closed_port), "POST", "/_create", {"secret": CANARY})
    assert CANARY not in caplog.text
    assert re.search(r"POST /_create -> \w*Error in", caplog.text)
