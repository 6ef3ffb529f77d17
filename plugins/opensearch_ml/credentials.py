"""Credentials: references become secrets here, inside the running task, and are masked the moment they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, AirflowSecretsBackendAccessDenied

from opensearch_ml import aws_secrets, fingerprint
from opensearch_ml.blueprint import Blueprint, CredentialReference
from opensearch_ml.errors import UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.placeholders import as_text

TEMPORARY = "ASIA"  # how the access keys of sessions begin


def resolve(
    blueprint: Blueprint,
    hook: OpenSearchMLHook,
    *,
    aws_conn_id: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the blueprint's credential in clear; literal parts, such as ``roleArn``, as they are.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :param aws_conn_id: who reads AWS Secrets Manager, see `aws_secrets.access_for`.
    :param secrets: what these secrets of AWS hold, by id, in place of their current version.
    :raises UnresolvedCredential: naming every reference that nothing answers, before anything is written; or a
        session's key without its token.
    """
    resolved: dict[str, str] = {}
    lacking: list[str] = []
    texts = _Texts(hook, aws_conn_id, secrets or {})
    for key, value in blueprint.connector.credential.items():
        if not isinstance(value, CredentialReference):
            resolved[key] = value
            continue
        try:
            resolved[key] = _secret(value, texts)
        except LookupError as why:
            lacking.append(f"{key} is {value}, which {why}")
        else:
            hook.keep_secret([resolved[key]])
    if lacking:
        raise UnresolvedCredential(
            f"blueprint {blueprint.name} refers to secrets that are not there",
            evidence="; ".join(lacking),
            fix="create the Airflow connection or variable, in any secrets backend, and set the named field, or the "
            "secret of AWS; if it is there, the secrets backend has failed, and Airflow says why at log level DEBUG",
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


class _Texts:
    """What the secrets of AWS hold; each is read once, so that two keys of one are of one version."""

    def __init__(self, hook: OpenSearchMLHook, aws_conn_id: str | None, known: Mapping[str, str]) -> None:
        self._hook, self._aws_conn_id = hook, aws_conn_id
        self._texts = dict(known)

    def part(self, reference: CredentialReference) -> str:
        secret_id = str(reference.secret_id)
        if secret_id not in self._texts:
            access = aws_secrets.access_for(self._hook, self._aws_conn_id)
            self._texts[secret_id] = aws_secrets.current_text(access, secret_id)
        return aws_secrets.part(self._texts[secret_id], reference.key)


def _secret(reference: CredentialReference, texts: _Texts) -> str:
    """Ask Airflow, or AWS, for a secret.

    :raises LookupError: there is none; the message says why.
    """
    if reference.secret_id:
        return texts.part(reference)
    try:
        value = Variable.get(reference.variable) if reference.variable else _field(reference)
    except (AirflowNotFoundException, AirflowRuntimeError):
        raise LookupError("is not there") from None
    except AirflowSecretsBackendAccessDenied:
        raise LookupError("a secrets backend refuses to give") from None
    if not value:
        raise LookupError("has no value")
    return as_text(value)


def _field(reference: CredentialReference) -> Any:
    connection = BaseHook.get_connection(str(reference.conn_id))
    if reference.field.startswith("extra."):
        return connection.extra_dejson.get(reference.field.removeprefix("extra."))
    return getattr(connection, reference.field)
