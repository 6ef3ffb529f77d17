"""Credentials: references become secrets here, inside the running task, and are masked the moment they are known."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, AirflowSecretsBackendAccessDenied

from opensearch_ml.blueprint import Blueprint, CredentialReference
from opensearch_ml.errors import UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.placeholders import as_text

TEMPORARY = "ASIA"  # how the access keys of sessions begin


def resolve(blueprint: Blueprint, hook: OpenSearchMLHook) -> dict[str, str]:
    """Return the blueprint's credential in clear; literal parts, such as ``roleArn``, as they are.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :raises UnresolvedCredential: naming every reference that nothing answers, before anything is written; or a
        session's key without its token.
    """
    resolved: dict[str, str] = {}
    lacking: list[str] = []
    for key, value in blueprint.connector.credential.items():
        if not isinstance(value, CredentialReference):
            resolved[key] = value
            continue
        try:
            resolved[key] = _secret(value)
        except LookupError as why:
            lacking.append(f"{key} is {value}, which {why}")
        else:
            hook.keep_secret([resolved[key]])
    if lacking:
        raise UnresolvedCredential(
            f"blueprint {blueprint.name} refers to secrets that are not there",
            evidence="; ".join(lacking),
            fix="create the Airflow connection or variable, in any secrets backend, and set the named field; if it is "
            "there, the secrets backend has failed, and Airflow says why at log level DEBUG",
        )
    if resolved.get("access_key", "").startswith(TEMPORARY) and "session_token" not in resolved:
        raise UnresolvedCredential(
            f"blueprint {blueprint.name} signs with half a session: its access_key is a temporary one, without a token",
            evidence=f"the access key begins with {TEMPORARY}; connector.credential has no session_token",
            fix="add a reference to it, such as session_token: {conn_id: aws_default, field: "
            "extra.aws_session_token}; or refer to a key that lasts, an IAM user's",
        )
    return resolved


def _secret(reference: CredentialReference) -> str:
    """Ask Airflow for a secret.

    :raises LookupError: there is none; the message says why.
    """
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
