"""How one Airflow connection of type ``opensearch`` becomes a client: address, TLS and authentication.

The extras are those of providers-opensearch (``use_ssl``, ``verify_certs``, ``url_prefix``, ``timeout``, ``headers``,
``http_compress``, ``opaque_id``, ``scheme``) and ``ca_certs``. Its defaults are turned round: TLS is used and verified
unless the connection says otherwise in as many words.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch, RequestsHttpConnection
from opensearchpy.exceptions import TransportError
from requests.utils import get_environ_proxies

from opensearch_ml.errors import InvalidConnection
from opensearch_ml.placeholders import as_text

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # the first connector of a cluster may take seconds, a predict as long as its endpoint
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class BodilessConnection(RequestsHttpConnection):
    """A connection that logs no bodies, which hold credentials, and trusts what the Airflow connection says.

    ``requests`` prefers REQUESTS_CA_BUNDLE, and a netrc file, to what its session was told; a CA bundle given in the
    Airflow connection would be ignored on every host that has the variable set.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.session.trust_env = False
        self.session.proxies = get_environ_proxies(self.base_url)

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """Send one request; errors carry its method and path, and redirects are not followed.

        A redirect would send the body, and with it a credential, to wherever the answer says.
        """
        kwargs["allow_redirects"] = False
        try:
            return super().perform_request(method, url, *args, **kwargs)
        except TransportError as error:
            error.request_line = f"{method} {url}"  # type: ignore[attr-defined]
            raise

    def _raise_error(self, status_code: int, raw_data: Any, content_type: str | None = None) -> None:
        try:
            super()._raise_error(status_code, raw_data, content_type)
        except AttributeError:
            # opensearch-py takes every JSON body for an object; a gateway's may be a list, or null.
            raise TransportError(status_code, raw_data, None) from None

    def log_request_success(
        self, method: str, full_url: str, path: str, body: Any, status_code: int, response: str, duration: float
    ) -> None:
        """Log the request line at DEBUG; opensearch-py says it at INFO, and body and answer at DEBUG."""
        log.debug("%s %s -> %s in %.3f s", method, path, status_code, duration)

    def log_request_fail(
        self,
        method: str,
        full_url: str,
        path: str,
        body: Any,
        duration: float,
        status_code: Any = None,
        response: Any = None,
        exception: Any = None,
    ) -> None:
        """Log the request line at DEBUG; whoever handles the error tells it."""
        log.debug("%s %s -> %s in %.3f s", method, path, status_code or type(exception).__name__, duration)


def address(connection: Connection) -> dict[str, Any]:
    """Return host, port, scheme, TLS and other client arguments of a connection, without its credentials.

    :raises InvalidConnection: what the connection says is no address, contradicts itself, or names no file.
    """
    extra = connection.extra_dejson
    host, port, path, scheme = _host(connection)
    use_ssl = _flag(connection, "use_ssl", default=scheme != "http")
    verify = _flag(connection, "verify_certs", default=True)
    if scheme == "https" and not use_ssl:
        # One of the two is a mistake, and guessing wrong would send the password in clear.
        raise _invalid(connection, "contradicts itself", "scheme is https, use_ssl is false", "remove one of the two")
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


def client(connection: Connection) -> OpenSearch:
    """Return a client that never repeats a request by itself: a repeated create would make a second object."""
    arguments = address(connection)
    if connection.login and connection.password:
        # As bytes, because requests would encode text as Latin-1, and OpenSearch reads UTF-8.
        arguments["http_auth"] = (connection.login.encode(), connection.password.encode())
    return OpenSearch(connection_class=BodilessConnection, max_retries=0, retry_on_timeout=False, **arguments)


def _host(connection: Connection) -> tuple[str, int | None, str, str]:
    """Return host, port, path and scheme; the host may be given as a whole URL."""
    given = (connection.host or "").strip()
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
        raise _invalid(connection, "names no host", f"host is {given!r}", "set the host, such as search.example.com")
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
