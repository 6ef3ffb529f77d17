"""How one Airflow connection of type ``opensearch`` becomes a client: address, TLS and authentication.

The extras are those of providers-opensearch (``use_ssl``, ``verify_certs``, ``url_prefix``, ``timeout``, ``headers``,
``http_compress``, ``opaque_id``, ``scheme``) and ``ca_certs``. Its defaults are turned round: TLS is used and verified
unless the connection says otherwise in as many words.

For a domain of Amazon OpenSearch Service there are ``domain_arn``, ``aws_conn_id`` (sign every request with the keys of
that AWS connection, instead of a login) and ``region_name`` (where there is no ``domain_arn`` to tell it).
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from opensearch_ml.base.arns import DOMAIN_FORM, PARTITIONS, DomainArn
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.errors import InvalidConnection

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from opensearchpy import OpenSearch

    from opensearch_ml.aws.access import AwsAccess

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # the first connector of a cluster may take seconds, a predict as long as its endpoint
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Source: https://docs.aws.amazon.com/opensearch-service/latest/developerguide/createupdatedomains.html
_SUFFIXES = "|".join(re.escape(suffix) for suffix in sorted({suffix for _, suffix in PARTITIONS.values()}))
DOMAIN_HOST = re.compile(
    rf".+\.(?:es\.(?:{_SUFFIXES})|aos\.[a-z0-9-]+\.on\.(?:aws|amazonwebservices\.com\.cn))", re.IGNORECASE
)


class Signing(NamedTuple):
    """Who signs, and for which region."""

    aws_conn_id: str
    region_name: str


def domain_arn(connection: Connection) -> DomainArn | None:
    """Return the ARN of the domain that the connection is for, if it says so.

    :raises InvalidConnection: it says something else.
    """
    given = connection.extra_dejson.get("domain_arn")
    if given is None or given == "":
        return None
    try:
        return DomainArn.parse(str(given))
    except ValueError as why:
        raise _invalid(
            connection, "has a domain_arn that is none", f"it {why}", f'"domain_arn": "{DOMAIN_FORM}"'
        ) from None


def signing(connection: Connection) -> Signing | None:
    """Return who signs the requests, or None if a login authenticates them, or nothing.

    :raises InvalidConnection: the connection contradicts itself, or names no region.
    """
    extra, domain = connection.extra_dejson, domain_arn(connection)
    if not (aws_conn_id := extra.get("aws_conn_id")):
        return None
    headers = extra.get("headers")
    named = [name for name in headers if str(name).lower() == "authorization"] if isinstance(headers, dict) else []
    if connection.login or connection.password or named:
        besides = "the header Authorization" if named else "Login or Password"
        raise _invalid(
            connection,
            "authenticates in two ways",
            f"it has both aws_conn_id and {besides}",
            f"remove aws_conn_id to log in as an internal user of the domain, or {besides} to sign the requests",
        )
    region_name = str(extra.get("region_name") or "")
    if domain and region_name and region_name != domain.region:
        evidence = f"region_name is {region_name}, domain_arn says {domain.region}"
        raise _invalid(connection, "contradicts itself", evidence, "remove region_name")
    if not (domain or region_name):
        evidence = "it has aws_conn_id, and neither domain_arn nor region_name"
        raise _invalid(connection, "names no region", evidence, f'"domain_arn": "{DOMAIN_FORM}" tells it')
    return Signing(str(aws_conn_id), domain.region if domain else region_name)


def is_managed_service(connection: Connection) -> bool:
    """Tell whether the connection is for a domain of Amazon OpenSearch Service, by what it says or by its host."""
    if domain_arn(connection) or connection.extra_dejson.get("aws_conn_id"):
        return True
    return bool(connection.host) and DOMAIN_HOST.fullmatch(_host(connection)[0]) is not None


def address(connection: Connection, endpoint: str | None = None) -> dict[str, Any]:
    """Return host, port, scheme, TLS and other client arguments of a connection, without its credentials.

    :param endpoint: ``host`` or ``host:port`` in place of the connection's own.
    :raises InvalidConnection: what the connection says is no address, contradicts itself, or names no file.
    """
    extra = connection.extra_dejson
    host, port, path, scheme = _host(connection, endpoint)
    use_ssl = _flag(connection, "use_ssl", default=scheme != "http")
    verify = _flag(connection, "verify_certs", default=True)
    if scheme == "https" and not use_ssl:
        # One of the two is a mistake, and guessing wrong would send the password in clear.
        raise _invalid(connection, "contradicts itself", "scheme is https, use_ssl is false", "remove one of the two")
    if signing(connection) and not use_ssl and host not in LOOPBACK:
        raise _invalid(connection, "would send signed requests in clear", "use_ssl is false", "remove it")
    arguments: dict[str, Any] = {
        "hosts": [{"host": host, "port": connection.port or port or (443 if use_ssl else 9200)}],
        "use_ssl": use_ssl,
        "verify_certs": verify,
        "ssl_show_warn": False,
        "url_prefix": extra.get("url_prefix") or path,
        "timeout": (CONNECT_TIMEOUT_S, _timeout_s(connection)),
        "http_compress": _flag(connection, "http_compress", default=False),
    }
    if verify and use_ssl:
        arguments["ca_certs"] = _ca_certs(connection)
    if headers := extra.get("headers"):
        if not isinstance(headers, dict):
            raise _invalid(connection, "has headers that are no JSON object", type(headers).__name__, '"headers": {}')
        arguments["headers"] = {str(name): as_text(value) for name, value in headers.items()}
    if extra.get("opaque_id"):
        arguments["opaque_id"] = str(extra["opaque_id"])
    if not use_ssl and host not in LOOPBACK:
        log.warning("connection %s is not encrypted: credentials go over the network in clear", connection.conn_id)
    if use_ssl and not verify:
        log.warning("connection %s does not verify the cluster's certificate (verify_certs)", connection.conn_id)
    return arguments


def client(connection: Connection, access: AwsAccess | None = None, endpoint: str | None = None) -> OpenSearch:
    """Return a client for a connection.

    :param access: signs the requests, where the connection has an ``aws_conn_id``.
    :param endpoint: ``host`` or ``host:port`` in place of the connection's own.
    """
    from opensearch_ml.client.transport import SignatureV4, open_client

    arguments = address(connection, endpoint)
    if access and (signs := signing(connection)):
        arguments["http_auth"] = SignatureV4(access, signs.region_name)
    elif connection.login and connection.password:
        # As bytes, because requests would encode text as Latin-1, and OpenSearch reads UTF-8.
        arguments["http_auth"] = (connection.login.encode(), connection.password.encode())
    return open_client(**arguments)


def _host(connection: Connection, endpoint: str | None = None) -> tuple[str, int | None, str, str]:
    """Return host, port, path and scheme; the host may be given as a whole URL."""
    given = (endpoint or connection.host or "").strip()
    if "@" in given:
        raise _invalid(connection, "carries a login in its host", "host holds @", "use the fields Login and Password")
    try:
        if given.count(":") > 1 and not set("[/") & set(given):
            given = f"[{ipaddress.IPv6Address(given)}]"
        parts = urlsplit(given if "://" in given else f"//{given}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _invalid(connection, "has a host that is none", str(error), "set it to host or host:port") from None
    if not host:
        fix = "set the host, such as search.example.com; a domain's is looked up with domain_arn and aws_conn_id"
        raise _invalid(connection, "names no host", f"host is {given!r}", fix)
    schema = connection.schema if connection.schema in ("http", "https") else ""
    scheme = str(connection.extra_dejson.get("scheme") or parts.scheme or schema).lower()
    if scheme not in ("http", "https", ""):
        raise _invalid(connection, "has a scheme that is neither http nor https", f"it is {scheme!r}", "use https")
    return host, port, parts.path.strip("/"), scheme


def _timeout_s(connection: Connection) -> float:
    given = connection.extra_dejson.get("timeout") or READ_TIMEOUT_S
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise _invalid(connection, "has a timeout that is none", f"timeout is {given!r}", '"timeout": 60 is one minute')
    return seconds


def _ca_certs(connection: Connection) -> str | None:
    # The variables are those that requests itself knows, and forgets once it is told not to trust its environment.
    given = connection.extra_dejson.get("ca_certs")
    bundle = given or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if bundle and not Path(bundle).exists():
        source = f"connection {connection.conn_id}" if given else "the environment (REQUESTS_CA_BUNDLE)"
        raise _invalid(connection, "has no CA bundle", f"{source} names {bundle}", "correct the path")
    return bundle


def _flag(connection: Connection, name: str, *, default: bool) -> bool:
    value = connection.extra_dejson.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    # A typing error must not turn verification off, nor quietly leave it on.
    raise _invalid(
        connection,
        f"has an extra {name} that is neither true nor false",
        f"{name} is {value!r}",
        f'"{name}": {str(default).lower()} is the default',
    )


def _invalid(connection: Connection, cause: str, evidence: str, fix: str) -> InvalidConnection:
    return InvalidConnection(
        f"connection {connection.conn_id} {cause}",
        evidence=evidence,
        fix=f"edit connection {connection.conn_id}: {fix}",
    )
