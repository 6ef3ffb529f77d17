"""Signature V4 as the domain checks it: what the signers in use make of a request is accepted, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from opensearchpy import RequestsAWSV4SignerAuth
from requests_aws4auth import AWS4Auth
from starlette.datastructures import Headers

from local.aws_key import AwsKey
from local.sigv4 import SignatureError, SignatureMismatch, SignedRequest, verify

HOST = "127.0.0.1:9443"
KEY = AwsKey("ASIAEXAMPLE", "secret/with+signs", "token/with+signs==")
TARGETS = (
    "/",
    "/_plugins/_ml/connectors/-a_B-c~d",
    "/_plugins/_ml/models/_search?filter_path=hits.hits._id,hits.total",
    "/_cat/indices/.plugins-ml-*?format=json&h=index,health",
    "/index/_doc/a%2Fb%20c",
    "/index/_doc/%C3%A4",
    "/index//_doc/./x",
    "/index/_search?q=a%20b&q=A&empty=&flag",
    "/index/_search?q=field:%22x*%22,y~z",
    "/index/_search?q=a+b%2Bc",
    "/index/_search?b=2&a=1&a-=0",
)

Sign = Callable[[requests.PreparedRequest], None]


def with_botocore(request: requests.PreparedRequest) -> None:
    signed = AWSRequest(request.method, request.url, data=request.body, headers=dict(request.headers))
    SigV4Auth(Credentials(KEY.access_key_id, KEY.secret_access_key, KEY.session_token), "es", "eu-west-1").add_auth(
        signed
    )
    request.headers.update(dict(signed.headers))


def with_aws4auth(request: requests.PreparedRequest) -> None:
    AWS4Auth(KEY.access_key_id, KEY.secret_access_key, "eu-west-1", "es", session_token=KEY.session_token)(request)


def with_opensearch_py(request: requests.PreparedRequest) -> None:
    credentials = Credentials(KEY.access_key_id, KEY.secret_access_key, KEY.session_token)
    RequestsAWSV4SignerAuth(credentials, "eu-west-1", "es")(request)


def prepared(target: str, method: str = "POST") -> requests.PreparedRequest:
    request = requests.Request(method, f"https://{HOST}{target}", data=b'{"query": {}}').prepare()
    request.url = f"https://{HOST}{target}"  # as it is: requests itself would resolve dots
    request.headers["Content-Type"] = "application/json"
    return request


def as_it_arrives(request: requests.PreparedRequest) -> SignedRequest:
    parts = urlsplit(str(request.url))
    headers = Headers({"host": HOST, **request.headers})
    return SignedRequest(str(request.method), parts.path, parts.query, headers, cast(bytes, request.body or b""))


def check(request: SignedRequest, *, now: datetime | None = None, region: str | None = "eu-west-1") -> AwsKey:
    return verify(request, "es", {KEY.access_key_id: KEY}.get, now or datetime.now(timezone.utc), region=region)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("sign", [with_botocore, with_aws4auth])
def test_what_the_signers_make_of_special_characters_is_accepted(sign: Sign, target: str) -> None:
    request = prepared(target)
    sign(request)
    assert check(as_it_arrives(request)) == KEY


def test_the_signer_of_opensearch_py_is_accepted() -> None:
    request = prepared("/_plugins/_ml/models/_search?filter_path=hits.hits._id,hits.total")
    with_opensearch_py(request)
    assert check(as_it_arrives(request)) == KEY


@pytest.mark.parametrize("sign", [with_botocore, with_aws4auth])
@pytest.mark.parametrize(
    "changed", [{"path": "/other"}, {"query": "a=2"}, {"method": "GET"}, {"body": b"other"}], ids=str
)
def test_nothing_of_a_request_can_be_changed_after_it_was_signed(sign: Sign, changed: dict[str, Any]) -> None:
    request = prepared("/index?a=1")
    sign(request)
    with pytest.raises(SignatureMismatch):
        check(replace(as_it_arrives(request), **changed))


def test_a_mismatch_shows_what_should_have_been_signed_without_the_secret() -> None:
    request = prepared("/index?a=1")
    with_aws4auth(request)
    with pytest.raises(SignatureMismatch) as refused:
        check(replace(as_it_arrives(request), query="a=2"))
    assert str(refused.value.canonical_request).startswith("POST\n/index\na=2\n")
    assert refused.value.string_to_sign.startswith("AWS4-HMAC-SHA256\n")
    assert KEY.secret_access_key not in str(vars(refused.value))


def test_another_region_or_service_in_the_credential_scope_is_named() -> None:
    request = prepared("/")
    with_aws4auth(request)
    with pytest.raises(SignatureError, match=r"Credential should be scoped to a valid Region, not 'eu-west-1'\. "):
        check(as_it_arrives(request), region="us-west-2")
    assert check(as_it_arrives(request), region=None) == KEY


@pytest.mark.parametrize(("minutes", "words"), [(6, "Signature expired"), (-6, "Signature not yet current")])
def test_a_clock_more_than_five_minutes_off_is_refused(minutes: int, words: str) -> None:
    request = prepared("/")
    with_aws4auth(request)
    with pytest.raises(SignatureError, match=words):
        check(as_it_arrives(request), now=datetime.now(timezone.utc) + timedelta(minutes=minutes))
    assert check(as_it_arrives(request), now=datetime.now(timezone.utc) + timedelta(minutes=minutes * 4 / 6))
