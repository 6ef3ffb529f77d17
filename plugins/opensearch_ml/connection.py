"""How one Airflow connection of type ``opensearch`` becomes a client: address, TLS and authentication.

The extras are those of providers-opensearch (``use_ssl``, ``verify_certs``, ``url_prefix``, ``timeout``, ``headers``,
``http_compress``, ``opaque_id``, ``scheme``) and ``ca_certs``. Its defaults are turned round: TLS is used and verified
unless the connection says otherwise in as many words.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch, RequestsHttpConnection
from opensearchpy.exceptions import TransportError
from requests.utils import get_environ_proxies

from opensearch_ml.errors import Final

if TYPE_CHECKING:
    from airflow.sdk import Connection

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # the first connector of a cluster may take seconds, a predict as long as its endpoint
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class InvalidConnection(Final):
    """The Airflow connection cannot be turned into an address."""


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

    :raises InvalidConnection: no host, or words that are neither true nor false.
    """
    extra = connection.extra_dejson
    host = connection.host or ""
    parts = urlsplit(host if "://" in host else f"//{host}")
    if not parts.hostname:
        raise InvalidConnection(
            f"connection {connection.conn_id} names no host",
            evidence=f"host is {host!r}",
            fix=f"set the host of connection {connection.conn_id}, for instance search.example.com",
        )
    scheme = (
        extra.get("scheme") or parts.scheme or (connection.schema if connection.schema in ("http", "https") else "")
    )
    use_ssl = _flag(connection, "use_ssl", default=scheme != "http")
    verify = _flag(connection, "verify_certs", default=True)
    arguments: dict[str, Any] = {
        "hosts": [{"host": parts.hostname, "port": connection.port or parts.port or (443 if use_ssl else 9200)}],
        "use_ssl": use_ssl,
        "verify_certs": verify,
        "ssl_show_warn": False,
        "url_prefix": extra.get("url_prefix") or parts.path.strip("/"),
        "timeout": (CONNECT_TIMEOUT_S, float(extra.get("timeout") or READ_TIMEOUT_S)),
        "http_compress": _flag(connection, "http_compress", default=False),
    }
    if verify and use_ssl:
        arguments["ca_certs"] = extra.get("ca_certs") or os.environ.get("REQUESTS_CA_BUNDLE")
    for name in ("headers", "opaque_id"):
        if extra.get(name):
            arguments[name] = extra[name]
    if not use_ssl and parts.hostname not in LOOPBACK:
        log.warning("connection %s is not encrypted: credentials go over the network in clear", connection.conn_id)
    if use_ssl and not verify:
        log.warning("connection %s does not verify the cluster's certificate (verify_certs)", connection.conn_id)
    return arguments


def client(connection: Connection) -> OpenSearch:
    """Return a client that never repeats a request by itself: a repeated create would make a second object."""
    arguments = address(connection)
    if connection.login and connection.password:
        arguments["http_auth"] = (connection.login, connection.password)
    return OpenSearch(connection_class=BodilessConnection, max_retries=0, retry_on_timeout=False, **arguments)


def _flag(connection: Connection, name: str, *, default: bool) -> bool:
    value = connection.extra_dejson.get(name, default)
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    # A typing error must not turn verification off, nor quietly leave it on.
    raise InvalidConnection(
        f"extra {name} of connection {connection.conn_id} is neither true nor false",
        evidence=f"{name} is {value!r}",
        fix=f'write "{name}": {str(default).lower()} in the extra of connection {connection.conn_id}',
    )
