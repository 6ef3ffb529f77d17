"""The pure core reads trusted endpoints as the server's Java does: what is accepted here is tried there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opensearch_ml.blueprint import trusted_endpoints
from opensearch_ml.blueprint.trusted_endpoints import covers, derive, example_url, labelled, problem
from tests.support.cluster import Cluster

ML = "/_plugins/_ml"
SETTING = "plugins.ml_commons.trusted_connector_endpoints_regex"

URLS = [
    "https://api.example.com",
    "https://api.example.com/",
    "https://api.example.com/v1/embeddings",
    "https://api.example.com/v1/embeddings/more",
    "https://api.example.com/v1/a.b+c(d)$e",
    "https://api.example.com/v1/model-x_1:0/invoke?api-version=2024-02-01&x=1",
    "https://api.example.com:8443/v1/embeddings",
    "http://api.example.com/v1/embeddings",
    "https://api.example.com.evil.example/v1/embeddings",
    "https://api.example.com@evil.example/v1/embeddings",
    "https://api-example.com/v1/embeddings",
    "https://[2001:db8::1]:8443/v1/embeddings",
    "https://10.0.0.1/v1/embeddings",
    "https://api.example.com/v1/ü",
    "https://api.example.com/v1/1",
]
PATTERNS = [
    *(derive(URLS[number], {}) for number in (0, 4, 5, 6, 11)),
    r"^https://api\.example\.com/.*$",
    r"https://api\.example\.com/v1/\w+",
    r"https://api\.example\.com/v1/\d",
    r"https://api\.example\.com/v1/[^/]+",
    r"https://api\.example\.com/v1/[a-z.+()$]+?",
    r"https://api\.example\.com\/v1\/.{1,40}",
    r"https://api\.example\.com/v1/model-x_\d:[0-9]/invoke\?.*",
    r"^https://api\.example\.com/v1/a\.b\+c\(d\)\$e",
    # Others' entries, which are read but never written by us.
    r"^https://(api|web)\.example\.com(:\d+)?/v1/embeddings$",
    r"^https?://api.example.com/.*$",
    r"^(?<theirs>https://.*)$",
]

Takes = Callable[..., bool]


@pytest.fixture
def takes(cluster: Cluster) -> Takes:
    """Tells whether the server itself takes a URL while these are its trusted endpoints."""

    def created(patterns: list[str], url: str, **parameters: str) -> bool:
        cluster.request("PUT", "/_cluster/settings", json={"persistent": {SETTING: patterns}}).raise_for_status()
        body = {
            "name": "n",
            "version": "1",
            "protocol": "http",
            "credential": {"key": "x"},
            "parameters": parameters,
            "actions": [{"action_type": "predict", "method": "POST", "url": url}],
        }
        answer = cluster.request("POST", f"{ML}/connectors/_create", json=body)
        assert answer.ok or "is not matching the trusted connector endpoint regex" in answer.text, answer.text
        return bool(answer.ok)

    return created


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_server_takes_exactly_the_urls_that_a_pattern_covers(takes: Takes, pattern: str) -> None:
    assert [url for url in URLS if covers(pattern, url)] == [url for url in URLS if takes([labelled(pattern)], url)]


def test_a_pattern_derived_for_late_parameters_is_taken_at_creation(takes: Takes) -> None:
    url = "https://api.example.com/model/${parameters.model}/${parameters.late}?v=${parameters.v:-1}"
    pattern = derive(url, {"model": "m.1"})
    assert takes([labelled(pattern)], url, model="m.1")
    assert covers(labelled(pattern), example_url(url, {"model": "m.1"}))
    assert not takes([labelled(pattern)], url, model="m/1")


@pytest.mark.parametrize("invalid", ["(", "[", r"https://api\.example\.com/x{2,1}"])
def test_an_invalid_entry_that_the_server_keeps_is_one_that_we_refuse(cluster: Cluster, invalid: str) -> None:
    cluster.request("PUT", "/_cluster/settings", json={"persistent": {SETTING: [invalid]}}).raise_for_status()
    body = {
        "name": "n",
        "version": "1",
        "protocol": "http",
        "credential": {"key": "x"},
        "actions": [{"action_type": "predict", "method": "POST", "url": URLS[0]}],
    }
    answer = cluster.request("POST", f"{ML}/connectors/_create", json=body)
    assert "pattern_syntax_exception" in answer.text
    assert problem(invalid) is not None
    assert trusted_endpoints.missing([(derive(URLS[0], {}), URLS[0])], [invalid]) == [labelled(derive(URLS[0], {}))]
