"""How requests go out: signed where that is asked for, without bodies in the log, never redirected, never repeated.

Apart from `connection`, because opensearch-py takes half a second to import, and a DAG file must not wait for it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opensearchpy import OpenSearch, RequestsHttpConnection
from opensearchpy.exceptions import TransportError
from requests import PreparedRequest
from requests.auth import AuthBase
from requests.utils import get_environ_proxies
from requests_aws4auth import AWS4Auth

if TYPE_CHECKING:
    from opensearch_ml.aws.access import AwsAccess

log = logging.getLogger(__name__)

SERVICE = "es"  # in the signature's scope; also for OpenSearch domains


def open_client(**arguments: Any) -> OpenSearch:
    """Return a client that never repeats a request by itself: a repeated create would make a second object."""
    return OpenSearch(connection_class=BodilessConnection, max_retries=0, retry_on_timeout=False, **arguments)


class SignatureV4(AuthBase):
    """Sign each request with the credentials of its moment.

    :param access: is asked for them, so that a role's refreshed keys are used at once.
    :param region_name: the domain's.
    """

    def __init__(self, access: AwsAccess, region_name: str) -> None:
        self._access = access
        self._region_name = region_name

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        # opensearch-py writes a space in a parameter as +, which AWS signs as a plus.
        path, question_mark, query = str(request.url).partition("?")
        request.url = path + question_mark + query.replace("+", "%20")
        # Anew for each request: it keeps the keys it signs with, and two threads would sign with each other's.
        sign = AWS4Auth(refreshable_credentials=self._access, region=self._region_name, service=SERVICE)
        signed: PreparedRequest = sign(request)
        return signed


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
