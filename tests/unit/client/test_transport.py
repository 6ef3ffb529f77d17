"""Signed requests, as a server receives them: verified by botocore's own computation of the signature."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials
from opensearchpy import OpenSearch
from starlette.datastructures import Headers

from local.aws_key import AwsKey
from local.sigv4 import SignatureError, SignedRequest, verify
from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.client import connection
from tests.support.answering_server import Answering, Received
from tests.support.examples import airflow_connection

REGION = "eu-central-1"
KEY = ReadOnlyCredentials("AKIAIOSFODNN7EXAMPLE", "canary-secret-Xv4", None)
SESSION = ReadOnlyCredentials("ASIAIOSFODNN7EXAMPLE", "canary-secret-Qz8", "canary/token+with=signs//" * 20)


class Access(AwsAccess):
    """The keys of this moment, without AWS."""

    def __init__(self, next_keys: Callable[[], ReadOnlyCredentials] = lambda: KEY) -> None:
        super().__init__()
        self._next_keys = next_keys

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self._next_keys()


def client(plain: Answering, access: Access, **extra: Any) -> OpenSearch:
    extra = {"use_ssl": False, "aws_conn_id": "aws_search", "region_name": REGION, **extra}
    return connection.client(airflow_connection(port=plain.port, **extra), access)


def signer(received: Received, *keys: ReadOnlyCredentials, service: str = "es") -> AwsKey:
    """Who signed a request; it fails as the service would."""
    known = {key.access_key: AwsKey(key.access_key, key.secret_key, key.token) for key in keys}
    path, _, query = received.path.partition("?")
    request = SignedRequest(received.method, path, query, Headers(received.headers), received.body)
    return verify(request, service, known.get, datetime.now(timezone.utc))


@pytest.mark.parametrize("keys", [KEY, SESSION], ids=["user", "session"])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("prefix", ["", "search/one two"], ids=["", "prefix"])
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("info", {}),
        ("cat.plugins", {"params": {"format": "json"}}),
        ("cluster.get_settings", {"params": {"include_defaults": "true", "flat_settings": "true"}}),
        ("cluster.put_settings", {"body": {"persistent": {"a": "ü ~ + / % \u2028"}}}),
        ("security.get_role_mapping", {"role": "ml_full_access"}),
        ("security.patch_role_mapping", {"role": "ml full+access/ü~*(1)", "body": [{"op": "add"}]}),
        ("plugins.ml.get_connector", {"connector_id": "-a_B~c.d"}),
        ("plugins.ml.search_connectors", {"body": {"query": {"match_all": {}}}}),
        ("plugins.ml.delete_model", {"model_id": "x%2Fy"}),
        ("plugins.ml.predict_model", {"model_id": "x", "body": {"parameters": {"inputs": "größer"}}}),
        ("plugins.ml.deploy_model", {"model_id": "x"}),
        ("search", {"index": "a,b-*", "params": {"q": "name:x y + z&=/?~*(1)'ü", "b": "", "a": "2"}}),
    ],
)
def test_what_arrives_is_what_was_signed(
    plain: Answering, keys: ReadOnlyCredentials, compressed: bool, prefix: str, call: str, arguments: dict[str, Any]
) -> None:
    method: Any = client(plain, Access(lambda: keys), http_compress=compressed, url_prefix=prefix)
    for name in call.split("."):
        method = getattr(method, name)
    method(**arguments)
    received = plain.received[-1]
    assert signer(received, keys).access_key_id == keys.access_key
    assert f"/{REGION}/es/aws4_request" in received.headers["authorization"]
    assert received.headers.get("x-amz-security-token") == keys.token
    assert ("content-encoding" in received.headers) == (compressed and bool(received.body))


def test_a_space_in_a_parameter_is_signed_as_aws_reads_it(plain: Answering) -> None:
    client(plain, Access()).search(params={"q": "a b+c"})
    assert urllib.parse.parse_qs(plain.received[0].path.partition("?")[2]) == {"q": ["a b+c"]}
    assert "q=a%20b%2Bc" in plain.received[0].path


def test_a_header_that_airflow_adds_leaves_the_signature_valid(plain: Answering) -> None:
    headers = {"X-Team": "search", "X-Amz-Meta": "one   two", "Content-Type": "application/json; charset=utf-8"}
    client(plain, Access(), headers=headers, opaque_id="airflow").info()
    assert signer(plain.received[0], KEY)


def test_a_body_that_was_changed_on_the_way_is_noticed(plain: Answering) -> None:
    client(plain, Access()).plugins.ml.predict_model(model_id="x", body={"a": 1})
    received = plain.received[0]
    received.body = received.body.replace(b"1", b"2")
    with pytest.raises(SignatureError, match="does not match"):
        signer(received, KEY)


def test_new_keys_are_used_from_the_next_request_on(plain: Answering) -> None:
    keys = iter([KEY, SESSION, KEY])
    signing = client(plain, Access(lambda: next(keys)))
    for _ in range(3):
        signing.info()
    found = [signer(received, KEY, SESSION).access_key_id for received in plain.received]
    assert found == [KEY.access_key, SESSION.access_key, KEY.access_key]
    assert "x-amz-security-token" not in plain.received[2].headers


def test_threads_that_share_a_client_sign_each_with_one_pair_of_keys(plain: Answering) -> None:
    pairs = [ReadOnlyCredentials(f"AKIA{n}", f"secret-{n}", f"token-{n}") for n in range(4)]
    turn, lock = iter(pairs * 100), threading.Lock()

    def next_pair() -> ReadOnlyCredentials:
        with lock:
            return next(turn)

    signing = client(plain, Access(next_pair))
    threads = [threading.Thread(target=lambda: [signing.info() for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plain.received) == 200
    for received in plain.received:
        assert signer(received, *pairs)


def test_a_netrc_file_does_not_replace_the_signature(
    plain: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client(plain, Access()).info()
    assert signer(plain.received[0], KEY)


def test_over_tls_the_host_is_signed_as_it_is_sent(secured: Answering, tls: Path) -> None:
    airflow = airflow_connection(port=secured.port, ca_certs=str(tls / "ca.pem"), aws_conn_id="a", region_name=REGION)
    connection.client(airflow, Access()).info()
    assert signer(secured.received[-1], KEY)


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_the_default_port_is_not_in_the_signed_host(scheme: str, port: int) -> None:
    import requests

    from opensearch_ml.client.transport import SignatureV4

    prepared = requests.Request("GET", f"{scheme}://search.example.com:{port}/x").prepare()
    signed = SignatureV4(Access(), REGION)(prepared)
    # http.client leaves a default port out of the header, and the signature must agree.
    headers = Headers({**signed.headers, "host": "search.example.com"})
    request = SignedRequest("GET", "/x", "", headers, b"")
    key = AwsKey(KEY.access_key, KEY.secret_key, None)
    assert verify(request, "es", {KEY.access_key: key}.get, datetime.now(timezone.utc)) == key
