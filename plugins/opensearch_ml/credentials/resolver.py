"""Credentials: references become secrets here, inside the running task, and are masked the moment they are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, AirflowSecretsBackendAccessDenied

from opensearch_ml.blueprint.models import Blueprint, CredentialReference
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.credentials import fingerprint, secrets_manager
from opensearch_ml.errors import UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook

TEMPORARY = "ASIA"  # how the access keys of sessions begin


def resolve(
    blueprint: Blueprint,
    hook: OpenSearchMLHook,
    *,
    aws_conn_id: str | None = None,
    secrets: Mapping[str, str] | None = None,
    looks: Looks | None = None,
) -> dict[str, str]:
    """Return the blueprint's credential in clear; literal parts, such as ``roleArn``, as they are.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :param aws_conn_id: who reads AWS Secrets Manager, see `secrets_manager.access_for`.
    :param secrets: what these secrets of AWS hold, by id, in place of their current version.
    :param looks: those that several blueprints share; they have an `aws_conn_id` of their own.
    :raises UnresolvedCredential: naming every reference that nothing answers, before anything is written; or a
        session's key without its token.
    """
    resolved: dict[str, str] = {}
    lacking: list[str] = []
    looks = looks or Looks(hook, aws_conn_id, secrets)
    for key, value in blueprint.connector.credential.items():
        if not isinstance(value, CredentialReference):
            resolved[key] = value
            continue
        try:
            resolved[key] = _secret(value, looks)
        except LookupError as why:
            lacking.append(f"{key} is {value}, which {why}")
        else:
            hook.keep_secret([resolved[key]])
    if lacking:
        raise UnresolvedCredential(
            f"blueprint {blueprint.name} refers to secrets that are not there",
            evidence="; ".join(lacking),
            fix="create the Airflow connection or variable, in any secrets backend, and set the named field, or create "
            "the secret in AWS; if it is there, the secrets backend has failed: Airflow says why at log level DEBUG",
        )
    if resolved.get("access_key", "").startswith(TEMPORARY) and "session_token" not in resolved:
        raise UnresolvedCredential(
            f"blueprint {blueprint.name} signs with half a session: its access_key is a temporary one, without a token",
            evidence=f"the access key begins with {TEMPORARY}; connector.credential has no session_token",
            fix="add a reference to it, such as session_token: {conn_id: aws_default, field: "
            "extra.aws_session_token}; or refer to a key that lasts, an IAM user's",
        )
    return resolved


def mark(blueprint: Blueprint, hook: OpenSearchMLHook, credential: Mapping[str, str]) -> str:
    """Return what a connector on the hook's cluster carries for this credential of a blueprint: its fingerprint.

    :param credential: as `resolve` returned it.
    """
    references = {key: str(value) for key, value in blueprint.connector.references.items()}
    return fingerprint.fingerprint(credential, fingerprint.salt_of(hook.cluster_uuid(), references))


class Looks:
    """Looks into what holds secrets, each done once, also one that finds nothing.

    A look takes 40 ms, and a fleet shares a few connections; two keys of one secret of AWS are of one version.

    :param hook: who reads AWS, if `aws_conn_id` does not say it.
    :param aws_conn_id: who reads AWS Secrets Manager, see `secrets_manager.access_for`.
    :param secrets: what these secrets of AWS hold, by id.
    """

    def __init__(
        self, hook: OpenSearchMLHook, aws_conn_id: str | None = None, secrets: Mapping[str, str] | None = None
    ) -> None:
        self._hook, self._aws_conn_id = hook, aws_conn_id
        self._seen: dict[tuple[str, str], Any] = {("secret", name): text for name, text in (secrets or {}).items()}

    def connection(self, conn_id: str) -> Any:
        """Return an Airflow connection; raises what Airflow does if there is none."""
        return self._once("connection", conn_id, BaseHook.get_connection)

    def variable(self, name: str) -> Any:
        """Return the value of an Airflow variable; raises what Airflow does if there is none."""
        return self._once("variable", name, Variable.get)

    def text(self, secret_id: str) -> str:
        """Return what a secret of AWS holds."""
        return str(self._once("secret", secret_id, self._current_text))

    def _current_text(self, secret_id: str) -> str:
        return secrets_manager.current_text(secrets_manager.access_for(self._hook, self._aws_conn_id), secret_id)

    def _once(self, kind: str, name: str, look: Callable[[str], Any]) -> Any:
        if (kind, name) not in self._seen:
            try:
                self._seen[kind, name] = look(name)
            except Exception as error:
                self._seen[kind, name] = error
        seen = self._seen[kind, name]
        if isinstance(seen, Exception):
            raise seen
        return seen


def _secret(reference: CredentialReference, looks: Looks) -> str:
    """Ask Airflow, or AWS, for a secret.

    :raises LookupError: there is none; the message says why.
    """
    if reference.secret_id:
        return secrets_manager.part(looks.text(reference.secret_id), reference.key)
    try:
        value = looks.variable(reference.variable) if reference.variable else _field(reference, looks)
    except (AirflowNotFoundException, AirflowRuntimeError):
        raise LookupError("is not there") from None
    except AirflowSecretsBackendAccessDenied:
        raise LookupError("a secrets backend refuses to give") from None
    if not value:
        raise LookupError("has no value")
    return as_text(value)


def _field(reference: CredentialReference, looks: Looks) -> Any:
    connection = looks.connection(str(reference.conn_id))
    if reference.field.startswith("extra."):
        return connection.extra_dejson.get(reference.field.removeprefix("extra."))
    return getattr(connection, reference.field)
