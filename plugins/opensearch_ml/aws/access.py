"""The way to AWS: one Airflow connection of type ``aws``, as providers-amazon understands it.

Nothing of boto3 is imported before it is used: it would cost every parse of a DAG file a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from opensearch_ml.base.secret_masking import KnownSecrets
from opensearch_ml.errors import CredentialsExpired, InvalidConnection

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from boto3.session import Session
    from botocore.credentials import Credentials, ReadOnlyCredentials

T = TypeVar("T")
log = logging.getLogger(__name__)
DEFAULT_CONNECTION = "aws_default"
CONNECT_TIMEOUT_S = 5.0
# At DEBUG these log secrets: answers whole, such as AssumeRole's, and requests with their session token.
TELLING_LOGGERS = ("botocore.parsers", "botocore.auth", "botocore.endpoint")


class AwsAccess:
    """Clients and credentials of one AWS connection, all of one session: a role is assumed once.

    The endpoint for assuming the connection's role is ``service_config.sts.endpoint_url`` in its extra:
    providers-amazon takes no other for it.

    :param aws_conn_id: connection of type ``aws``. If there is no ``aws_default``, boto3 looks for credentials in
        the worker's environment, as everywhere in Airflow; another that is missing is an error.
    :param region_name: for every client; the connection's own if not given.
    :param secrets: is told every key of the session, so that none appears in a log or in an error.
    """

    def __init__(
        self, aws_conn_id: str = DEFAULT_CONNECTION, region_name: str | None = None, secrets: KnownSecrets | None = None
    ) -> None:
        self.aws_conn_id = aws_conn_id
        self._region_name = region_name
        self._secrets = secrets or KnownSecrets()
        self._hook: AwsBaseHook | None = None
        self._session: Session | None = None
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Ask AWS, and ask once more with a new session if the old one has expired: nothing was done the first time.

        :param service: boto3's name, such as ``iam``.
        :param operation: boto3's name, such as ``get_role``; the arguments are its own.
        :raises OpenSearchMLError: see `asking`.
        """
        return self._asked(service, lambda client: getattr(client, operation)(**arguments))

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Return all entries of an answer that comes in pages; otherwise like `call`.

        :param key: what holds them, such as ``AttachedPolicies``.
        """

        def collect(client: Any) -> list[Any]:
            return [entry for page in client.get_paginator(operation).paginate(**arguments) for entry in page[key]]

        return self._asked(service, collect)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Turn botocore's errors into ours: for those who use a client directly.

        :raises NotFound: there is no such thing.
        :raises PermissionDenied: its evidence holds AWS's words; `refusals.refused_action` takes them apart.
        :raises AuthenticationFailed: the key, the signature or the clock is wrong; `CredentialsExpired` is one of them.
        :raises InvalidConnection: no credentials, region or profile.
        :raises Unreachable: or ``ServerBusy``, ``Conflict``: try again.
        :raises RequestRefused: or ``InUse``: anything else.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            from opensearch_ml.aws.error_mapping import translate

            role_arn = self._hook.conn_config.role_arn if self._hook else None
            raise translate(
                error, aws_conn_id=self.aws_conn_id, role_arn=role_arn, redact=self._secrets.redact
            ) from None

    def client(self, service: str) -> Any:
        """Return boto3's client for a service; its errors are botocore's, see `asking`."""
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def credentials(self) -> Credentials:
        """Return the session's live credentials: a role's are refreshed before they expire.

        :raises InvalidConnection: there are none.
        """
        from botocore.exceptions import NoCredentialsError

        session, _ = self._connected()
        with self.asking():
            credentials = session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            return credentials

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the credentials of this moment, refreshed if due, and masked.

        With this name an `AwsAccess` can stand where a library wants botocore's refreshable credentials.
        """
        with self.asking():
            frozen = self.credentials().get_frozen_credentials()
        self._secrets.keep([frozen.secret_key, frozen.token])
        return frozen

    def caller(self) -> str:
        """Return the ARN of who signs. Source: ``sts:GetCallerIdentity``."""
        return str(self.call("sts", "get_caller_identity")["Arn"])

    def client_with(self, service: str, access_key: str, secret_key: str) -> Any:
        """Return a client that signs with another key than the connection's; its errors are botocore's."""
        self._secrets.keep([secret_key])
        return self._new_client(service, aws_access_key_id=access_key, aws_secret_access_key=secret_key)

    @property
    def region_name(self) -> str | None:
        """The region of the clients; None if nobody names one."""
        region_name: str | None = self._connected()[0].region_name
        return region_name

    def renew(self, ended: CredentialsExpired) -> None:
        """Forget the session: the next use reads the connection again, and assumes its role again."""
        log.info("%s: reading connection %s again", ended.cause, self.aws_conn_id)
        self._hook, self._session = None, None
        self._clients.clear()

    def _new_client(self, service: str, **keys: str) -> Any:
        from botocore.config import Config

        session, hook = self._connected()
        with self._understanding_the_connection():
            return session.client(
                service,
                endpoint_url=hook.conn_config.get_service_endpoint_url(service),
                # botocore's own minute, five times, is longer than a task may wait for a network that drops packets
                config=Config(connect_timeout=CONNECT_TIMEOUT_S).merge(hook.config),
                verify=hook.verify,
                **keys,
            )

    def _asked(self, service: str, ask: Callable[[Any], T]) -> T:
        try:
            with self.asking():
                return ask(self.client(service))
        except CredentialsExpired as ended:
            self.renew(ended)
            with self.asking():
                return ask(self.client(service))

    def _connected(self) -> tuple[Session, AwsBaseHook]:
        if self._session is None or self._hook is None:
            from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

            # Airflow masks a task's log, but not the copy of it that an executor writes to its own output.
            for telling in TELLING_LOGGERS:
                logging.getLogger(telling).setLevel(logging.INFO)
            hook = AwsBaseHook(aws_conn_id=self.aws_conn_id, region_name=self._region_name)
            if self.aws_conn_id != DEFAULT_CONNECTION:
                self._require_connection(hook)
            with self._understanding_the_connection():
                self._hook = hook
                self._secrets.keep([hook.conn_config.aws_secret_access_key, hook.conn_config.aws_session_token])
                self._session = hook.get_session(region_name=self._region_name)
            self._session.events.register("before-sign", self._mask)
        return self._session, self._hook

    @contextmanager
    def _understanding_the_connection(self) -> Iterator[None]:
        try:
            with self.asking():
                yield
        except (AirflowException, NotImplementedError, TypeError, ValueError) as error:
            raise InvalidConnection(
                f"connection {self.aws_conn_id} cannot be turned into an AWS session",
                evidence=self._secrets.redact(f"{type(error).__name__}: {error}"),
                fix=f"correct the extra of connection {self.aws_conn_id}",
            ) from None

    def _require_connection(self, hook: AwsBaseHook) -> None:
        try:
            hook.get_connection(self.aws_conn_id)
        except AirflowNotFoundException as error:
            raise InvalidConnection(
                f"there is no connection {self.aws_conn_id}",
                evidence=str(error),
                fix=f"create connection {self.aws_conn_id} of type aws, or name another one",
            ) from None

    def _mask(self, **event: Any) -> None:
        # AWS quotes what it finds wrongly signed, session token included.
        self.get_frozen_credentials()
