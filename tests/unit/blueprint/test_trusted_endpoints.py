from __future__ import annotations

import string
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_ml.blueprint.trusted_endpoints import (
    covers,
    derive,
    example_url,
    is_ours,
    labelled,
    missing,
    no_longer_needed,
    problem,
    url_problem,
)

OPENAI = "https://api.openai.com/v1/embeddings"
# ml-commons 3.6, MLCommonsSettings
SERVER_DEFAULTS = [
    r"^https://runtime\.sagemaker\..*[a-z0-9-]\.amazonaws\.com/.*$",
    r"^https://api\.openai\.com/.*$",
    r"^https://bedrock-runtime\..*[a-z0-9-]\.amazonaws\.com/.*$",
    r"^https://textract\..*[a-z0-9-]\.amazonaws\.com$",
    r"^https://rekognition(-fips)?\..*[a-z0-9-]\.amazonaws\.com$",
]


# ---- derive


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        (OPENAI, r"^https://api\.openai\.com/v1/embeddings$"),
        ("https://a.com", r"^https://a\.com$"),
        ("https://a.com/", r"^https://a\.com/$"),
        ("http://127.0.0.1:9999/x", r"^http://127\.0\.0\.1:9999/x$"),
        ("https://[2001:db8::1]:8443/x", r"^https://\[2001:db8::1\]:8443/x$"),
        ("https://a.com/x?api-version=2024-02-01&b=(1)", r"^https://a\.com/x\?api-version=2024-02-01&b=\(1\)$"),
        ("https://a.com/model/titan-v2:0/in*voke", r"^https://a\.com/model/titan-v2:0/in\*voke$"),
        ("https://a.com/a_b/%20/c+d$", r"^https://a\.com/a_b/%20/c\+d\$$"),
        ("https://a.com/${parameters.model}/go", r"^https://a\.com/m\.1/go$"),
        ("https://a.com/${parameters.n}", r"^https://a\.com/3$"),
        ("https://a.com/${parameters.late}/go", r"^https://a\.com/[^/?#]+/go$"),
        ("https://a.com/${parameters.late:-x.y}/go", r"^https://a\.com/x\.y/go$"),
        ("https://a.com/x?m=${parameters.late}&k=1", r"^https://a\.com/x\?m=[^/?#]+&k=1$"),
    ],
)
def test_the_pattern_is_anchored_escaped_and_literal_but_for_late_parameters(url: str, pattern: str) -> None:
    assert derive(url, {"model": "m.1", "n": 3}) == pattern
    assert problem(pattern) is None


hosts = st.lists(
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=6).map(lambda label: f"a{label}"),
    min_size=1,
    max_size=4,
).map(".".join)
path_characters = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/%"
urls = st.builds(
    lambda scheme, host, port, path, query, late: (
        f"{scheme}://{host}{port}/{path.replace('%', '%41')}{late}{'?' + query if query else ''}"
    ),
    st.sampled_from(["http", "https"]),
    hosts,
    st.sampled_from(["", ":443", ":8443"]),
    st.text(path_characters, max_size=20),
    st.text(string.ascii_letters + "=&.-", max_size=10),
    st.sampled_from(["", "${parameters.late}", "/${parameters.late}/x"]),
)


@settings(max_examples=150, deadline=None)
@given(urls, hosts.map(lambda host: f"evil.{host}"))
def test_a_derived_pattern_fits_its_own_url_and_no_other_host(url: str, evil: str) -> None:
    assert url_problem(url, {}) is None
    pattern, own = derive(url, {}), example_url(url, {})
    assert problem(pattern) is None
    for form in (pattern, labelled(pattern)):
        assert covers(form, own)
        scheme, _, rest = own.partition("://")
        host, _, tail = rest.partition("/")
        name = host.partition(":")[0]
        for other in (
            f"{scheme}://{host}.{evil}/{tail}",
            f"{scheme}://{host}@{evil}/{tail}",
            f"{scheme}://{evil}@{host}/{tail}",
            f"{scheme}://{evil}.{host}/{tail}",
            f"{scheme}://{evil}/{rest}",
            f"{scheme}://{name.replace('.', '-')}x{host.removeprefix(name)}/{tail}",
            f"{scheme}://{host}:1/{tail}",
            f"{'http' if scheme == 'https' else 'https'}://{rest}",
            f"{own}/more",
            f"{own}#x",
            f"{scheme}://{host}/../{evil}/{tail}",
        ):
            assert not covers(form, other), other


def test_a_late_parameter_cannot_leave_its_place() -> None:
    pattern = derive("https://a.com/model/${parameters.m}/invoke", {})
    assert covers(pattern, "https://a.com/model/${parameters.m}/invoke")  # how 3.6 checks it at create
    for value in ("a/b", "a?b", "a#b", ""):
        assert not covers(pattern, f"https://a.com/model/{value}/invoke")


# ---- what a user may give


@pytest.mark.parametrize(
    "pattern",
    [
        r"^https://api\.openai\.com/v1/.*$",
        r"https://api\.openai\.com/v1/embeddings",
        r"^https://api\.openai\.com$",
        r"^https://api\.openai\.com\?.*$",
        r"^https://api\.openai\.com\/v1\/x$",
        r"^https://my\-host:8443/[a-z0-9-]+/x{1,3}$",
        r"^https://\[::1\]:8443/.*$",
        r"^http://localhost:8080/.*$",
        r"^https://a\.com/[a|b]+\?v=\d\d$",
        r"^https://a\.com/x\$",
        r"^https://a\.com/model/[^/]+/invoke$",
    ],
)
def test_a_pattern_with_a_literal_origin_is_fine(pattern: str) -> None:
    assert problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"^https://.*\.openai\.com/.*$", "literal scheme and host"),
        (r"^https://api.openai.com/.*$", "literal scheme and host"),
        (r"^https://api\.openai.com/.*$", "literal scheme and host"),
        (r"^https://api[.]openai[.]com/.*$", "literal scheme and host"),
        (r"^https://[a-z]+\.openai\.com/.*$", "literal scheme and host"),
        (r"^https://[::1]/.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com/?.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com\/?.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com/*.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com/{0,1}.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com\?*.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com(/v1)?.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com?/.*$", "literal scheme and host"),
        (r"^https://api\.openai\.com:\d+/.*$", "literal scheme and host"),
        (r"^https://(api|evil)\.openai\.com/.*$", "literal scheme and host"),
        (r"^(https://api\.openai\.com/)?.*$", "literal scheme and host"),
        (r"^(?i)https://api\.openai\.com/.*$", "literal scheme and host"),
        (r"^(?=https://api\.openai\.com).*$", "literal scheme and host"),
        (r"^(?<opensearchml>https://api\.openai\.com/v1)$", "literal scheme and host"),
        (r"\Qhttps://api.openai.com/\E.*", "literal scheme and host"),
        (r".*", "literal scheme and host"),
        ("", "literal scheme and host"),
        (r"^.https://api\.openai\.com/$", "literal scheme and host"),
        (r"^ftp://api\.openai\.com/$", "literal scheme and host"),
        (r"^https?://api\.openai\.com/.*$", "in clear"),
        (r"^https://api\.openai\.com/.*$|.*", "alternative"),
        (r"^https://api\.openai\.com/(v1|v2)/x$", "alternative"),
        (r"^https://api\.openai\.com/(a+)+$", "group"),
        (r"^https://api\.openai\.com/(?=x).*$", "group"),
        (r"^https://api\.openai\.com/(?i)x$", "group"),
        (r"^https://api\.openai\.com/(x$", "group"),
        (r"^https://api\.openai\.com/.*.*.*.*x$", "quantifiers"),
        (r"^https://api\.openai\.com/a?a?a?a?$", "quantifiers"),
        (r"^https://api\.openai\.com/.*+$", "read alike"),
        (r"^https://api\.openai\.com/\Qx\E$", "read alike"),
        (r"^https://api\.openai\.com/\p{Alpha}$", "read alike"),
        (r"^https://api\.openai\.com/\h$", "read alike"),
        (r"^https://api\.openai\.com/[a-z&&[^b]]$", "read alike"),
        (r"^https://api\.openai\.com/[a[b]]$", "read alike"),
        (r"^https://api\.openai\.com/[a$", "read alike"),
        (r"^https://api\.openai\.com/x{2}y{,3}$", "read alike"),
        (r"^https://api\.openai\.com/x\1$", "read alike"),
        ("^https://api\\.openai\\.com/x\\", "read alike"),
        (r"^https://api\.openai\.com/x{2,1}$", "not a valid regular expression"),
        (r"^https://api\.openai\.com/[z-a]$", "not a valid regular expression"),
    ],
)
def test_a_pattern_that_may_trust_more_is_refused(pattern: str, why: str) -> None:
    assert why in (problem(pattern) or "accepted")


pieces = st.sampled_from(
    [
        *("/", "\\/", "/?", ".*", ".", "?", "*", "+", "{0}", "{0,1}", "\\.", "\\?", "[^x]*", "\\S*", "\\d*"),
        *("(", ")", "|", "(a)?", "(?:x)?", "$", "^", "@", "\\@", ":", "-", "%", "#", "x"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(pieces, max_size=6).map("".join))
def test_whatever_is_accepted_trusts_no_other_host(tail: str) -> None:
    pattern = rf"https://api\.openai\.com{tail}"
    if problem(pattern) is None:
        for form in (pattern, labelled(pattern)):
            for other in (
                "https://api.openai.com.evil.example/",
                "https://api.openai.com@evil.example/x",
                "https://api.openai.com:80@evil.example/",
                "https://api.openai.com:99/x",
                "https://api.openai.comz/",
                "https://api-openai.com/x",
                "https://evil.example/https://api.openai.com/",
                "http://api.openai.com/x",
            ):
                assert not covers(form, other)


# ---- reading the cluster's list


@pytest.mark.parametrize(
    "only_java",
    [
        r"^https://api\.openai\.com/.*+$",
        r"\Qhttps://api.openai.com/v1/embeddings\E",
        r"https://\p{Alpha}+\.openai\.com/v1/embeddings",
        r"https://api\.openai\.com/v1/[a-z&&[^q]]+",
        r"https://api\.openai\.com/[a-z[0-9/]]+",
        r"https://api\.openai\.com/\S++",
        r"(?<!x)https://api\.openai\.com/v1/embeddings",
        r"(?i)HTTPS://API\.OPENAI\.COM/V1/EMBEDDINGS",
    ],
)
def test_what_java_alone_understands_or_reads_differently_covers_nothing(only_java: str) -> None:
    assert not covers(only_java, OPENAI)


@pytest.mark.parametrize("only_python", [r"(?P<n>https)://api\.openai\.com/.*", r"https(?#x)://api\.openai\.com/.*"])
def test_what_python_alone_understands_covers_nothing(only_python: str) -> None:
    assert not covers(only_python, OPENAI)


@pytest.mark.parametrize("invalid", ["(", "[", "*", "a{2,1}", "(?<n>a)(?<n>b)", "\\"])
def test_an_invalid_entry_covers_nothing_and_does_not_raise(invalid: str) -> None:
    assert not covers(invalid, OPENAI)


def test_the_whole_url_has_to_match() -> None:
    assert not covers(r"https://api\.openai\.com", OPENAI)
    assert not covers(r"^https://api\.openai\.com/v1/embedding", OPENAI)
    assert not covers(r"api\.openai\.com", OPENAI)


def test_digits_and_words_are_ascii_as_in_java() -> None:
    assert not covers(r"https://a\.com/\d", "https://a.com/٢")
    assert not covers(r"https://a\.com/\w", "https://a.com/é")


def test_the_servers_own_defaults_are_understood() -> None:
    assert covers(SERVER_DEFAULTS[0], "https://runtime.sagemaker.us-west-2.amazonaws.com/endpoints/x/invocations")
    assert covers(SERVER_DEFAULTS[4], "https://rekognition-fips.us-west-2.amazonaws.com")
    assert all(covers(entry, entry) is False for entry in SERVER_DEFAULTS)
    assert missing([(derive(OPENAI, {}), OPENAI)], SERVER_DEFAULTS) == []


@pytest.mark.parametrize(
    "runaway", [r"^(a+)+$", r"^(a|a)*$", r"^(a*)*b$", r"^.*.*.*.*.*.*.*.*b$", "a?" * 30 + "a" * 30]
)
def test_an_entry_that_could_run_for_ever_is_not_tried(runaway: str) -> None:
    started = time.perf_counter()
    assert not covers(runaway, "a" * 60)
    assert time.perf_counter() - started < 1


def test_no_entry_makes_python_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for entry in ("[[a]", "[a--b]", "[a&&b]", "[a||b]", "[a~~b]", r"\_"):
            covers(entry, OPENAI)
            problem(rf"https://a\.com/{entry}")


# ---- our entries among the others


@pytest.mark.parametrize(
    "pattern",
    [derive(OPENAI, {}), r"https://a\.com/x", r"https://a\.com/x\$", r"^https://a\.com/x\\$", r"^https://a\.com$"],
)
def test_the_label_changes_nothing_but_the_owner(pattern: str) -> None:
    ours = labelled(pattern)
    assert is_ours(ours)
    assert not is_ours(pattern)
    assert labelled(ours) == ours
    for url in (OPENAI, "https://a.com/x", "https://a.com/x$", "https://a.com/x\\", "https://a.com", "https://b.com/x"):
        assert covers(ours, url) == covers(pattern, url)


def test_only_what_no_entry_covers_is_missing_and_once() -> None:
    pattern = derive(OPENAI, {})
    other = ("https://b\\.com/x", "https://b.com/x")
    assert missing([(pattern, OPENAI), other, (pattern, OPENAI)], []) == [labelled(pattern), labelled(other[0])]
    assert missing([(pattern, OPENAI), other], [r"^https://api\.openai\.com/.*$"]) == [labelled(other[0])]
    assert missing([(pattern, OPENAI)], [labelled(pattern)]) == []


def test_an_entry_that_is_there_is_not_added_again_even_if_it_cannot_be_judged() -> None:
    url = "https://a.com/" + "/".join(f"${{parameters.p{number}}}" for number in range(6))
    pattern = derive(url, {})
    assert missing([(pattern, example_url(url, {}))], [labelled(pattern)]) == []
    assert no_longer_needed([labelled(pattern)], []) == []


def test_an_invalid_entry_of_others_does_not_hide_what_is_missing() -> None:
    assert missing([(derive(OPENAI, {}), OPENAI)], ["(", r"\Qhttps://api.openai.com/\E.*"]) == [
        labelled(derive(OPENAI, {}))
    ]


def test_only_our_own_entries_without_a_url_are_no_longer_needed() -> None:
    used, unused = labelled(derive(OPENAI, {})), labelled(r"^https://b\.com/x$")
    others = [r"^https://c\.com/x$", "(", "^(?<other>https://d\\.com/)$"]
    assert no_longer_needed([*others, used, unused], iter([OPENAI])) == [unused]


# ---- URLs


@pytest.mark.parametrize(
    "url",
    [
        OPENAI,
        "http://localhost:8080/x",
        "https://a.com",
        "https://a.com?x=1",
        "https://10.0.0.1/x",
        "https://[2001:db8::1]:8443/x",
        "https://xn--bcher-kva.example/x",
        "https://a.com/ü/%C3%BC?x=${parameters.late}",
        "https://my-host.eu-central-1.es.amazonaws.com/x",
    ],
)
def test_a_url_with_a_literal_origin_is_fine(url: str) -> None:
    assert url_problem(url, {}) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://${parameters.endpoint}/v1", "must be literal"),
        ("https://api.${parameters.region}.amazonaws.com/v1", "must be literal"),
        ("https://a.com:${parameters.port}/v1", "must be literal"),
        ("${parameters.scheme}://a.com/v1", "must be literal"),
        ("https://a.com${parameters.path}", "must be literal"),
        ("https://${credential.host}/v1", "must be literal"),
        ("${parameters.url}", "must be literal"),
        ("a.com/v1", "not an absolute"),
        ("//a.com/v1", "not an absolute"),
        ("ftp://a.com/v1", "not an absolute"),
        ("HTTPS://a.com/v1", "not an absolute"),
        ("https://", "not an absolute"),
        ("https:///v1", "not an absolute"),
        ("", "not an absolute"),
        ("https://api.openai.com@evil.example/v1", "user name"),
        ("https://u:p@a.com/v1", "user name"),
        ("https://a.com\\@evil.example/v1", "user name"),
        ("https://my_host/v1", "host"),
        ("https://bücher.example/v1", "host"),
        ("https://a%2ecom/v1", "host"),
        ("https://a..com/v1", "host"),
        ("https://-a.com/v1", "host"),
        ("https://a.com:99999/v1", "host"),
        ("https://a.com:x/v1", "host"),
        ("https://a .com/v1", "host"),
        ("https://a.com\n.evil.example/v1", "host"),
        ("https://a.com/v1 x", "percent-encoded"),
        ("https://a.com/v1\n", "percent-encoded"),
        ("https://a.com/{x}", "percent-encoded"),
        ("https://a.com/a|b", "percent-encoded"),
        ("https://a.com/%zz", "percent-encoded"),
        ("https://a.com/${parameters.space}", "percent-encoded"),
        ("https://a.com/${parameters.x:-a b}", "percent-encoded"),
    ],
)
def test_a_url_that_could_go_elsewhere_or_nowhere_is_refused(url: str, why: str) -> None:
    assert why in (url_problem(url, {"space": "a b"}) or "accepted")
