"""Credentials: references become secrets here, inside the running task, and are masked the moment they are known."""

from __future__ import annotations

import json

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from opensearch_ml.blueprint import Blueprint, CredentialReference
from opensearch_ml.errors import UnresolvedCredential
from opensearch_ml.hook import OpenSearchMLHook


def resolve(blueprint: Blueprint, hook: OpenSearchMLHook) -> dict[str, str]:
    """Return the blueprint's credential in clear; literal parts, such as ``roleArn``, as they are.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :raises UnresolvedCredential: naming every reference that nothing answers, before anything is written.
    """
    resolved: dict[str, str] = {}
    lacking: list[str] = []
    for key, value in blueprint.connector.credential.items():
        if not isinstance(value, CredentialReference):
            resolved[key] = value
        elif secret := _secret(value):
            # The server's words show a secret as it stood in the JSON of the request.
            hook.keep_secret([secret, json.dumps(secret)[1:-1]])
            resolved[key] = secret
        else:
            lacking.append(f"{key} is {value}, which has no value")
    if lacking:
        raise UnresolvedCredential(
            f"blueprint {blueprint.name} refers to secrets that are not there",
            evidence="; ".join(lacking),
            fix="create the Airflow connection or variable, in any secrets backend, and set the named field",
        )
    return resolved


def _secret(reference: CredentialReference) -> str | None:
    try:
        if reference.variable:
            value = Variable.get(reference.variable)
        else:
            connection = BaseHook.get_connection(str(reference.conn_id))
            if reference.field.startswith("extra."):
                value = connection.extra_dejson.get(reference.field.removeprefix("extra."))
            else:
                value = getattr(connection, reference.field)
    except (AirflowException, AirflowRuntimeError, KeyError):
        return None
    return str(value) if value else None
