"""opensearch-py's exceptions, and the server's words in them, turned into our own: one border, one table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, SerializationError, SSLError, TransportError

from opensearch_ml import errors
from opensearch_ml.errors import OpenSearchMLError

REMOTE = "Error from remote service"
EVIDENCE_LENGTH = 1500
BUSY = frozenset({429, 502, 503, 504})
SETTINGS_FIX = (
    "cluster settings are not in ml_full_access: use a connection whose user has cluster:admin/settings/update, "
    "or have an administrator set it"
)


class Rule(NamedTuple):
    """What a server's answer means: the first rule that fits, counts."""

    fits: Callable[[int, str], bool]
    error: type[OpenSearchMLError]
    cause: str
    fix: str


RULES = (
    Rule(
        lambda status, text: REMOTE in text and (status == 429 or status >= 500),
        errors.RemoteModelBusy,
        "the model's platform is throttling or failing",
        "try again later, or look at the platform's own status and quota",
    ),
    Rule(
        lambda status, text: REMOTE in text and status in (401, 403),
        errors.RemoteModelRefused,
        "the model's platform refuses the connector's credential",
        "check that the credential which the blueprint refers to is valid for this platform and model",
    ),
    Rule(
        lambda _, text: REMOTE in text,
        errors.RemoteModelRefused,
        "the model's platform refuses the request",
        "compare the action's URL, headers and request_body with the platform's API reference",
    ),
    Rule(
        lambda _, text: "Error communicating with remote model" in text,
        errors.RemoteModelBusy,
        "the cluster cannot reach the model's platform",
        "check from the cluster's network that the connector's URL answers, and client_config's time-outs",
    ),
    Rule(
        lambda _, text: "is not matching the trusted connector endpoint regex" in text,
        errors.UntrustedEndpoint,
        "the cluster does not trust the connector's URL",
        "run the trusted endpoints step with a user that may change cluster settings, or add the URL's pattern to "
        "plugins.ml_commons.trusted_connector_endpoints_regex",
    ),
    Rule(
        lambda _, text: "private ip address" in text,
        errors.RequestRefused,
        "the cluster does not call private addresses",
        "set settings.private_ip_enabled: true in the target, then undeploy and deploy the model",
    ),
    Rule(
        lambda _, text: "pattern_syntax_exception" in text,
        errors.RequestRefused,
        "an entry of the cluster's trusted endpoints is not a valid Java regular expression",
        "correct or remove that entry of plugins.ml_commons.trusted_connector_endpoints_regex",
    ),
    Rule(
        lambda status, text: status == 409 and "still using this connector" in text,
        errors.InUse,
        "the connector is in use",
        "update or delete the models that the message names first",
    ),
    Rule(
        lambda status, text: status == 409 and "associated model versions" in text,
        errors.InUse,
        "the model group is not empty",
        "delete its models first",
    ),
    Rule(
        lambda status, _: status == 409,
        errors.Conflict,
        "another writer was faster",
        "run again",
    ),
    Rule(
        lambda status, _: status == 401,
        errors.AuthenticationFailed,
        "the cluster does not accept the connection's login and password",
        "correct login and password of the Airflow connection",
    ),
    Rule(
        lambda status, text: status == 403 and "cluster:admin/settings/update" in text,
        errors.PermissionDenied,
        "the connection's user may not change cluster settings",
        SETTINGS_FIX,
    ),
    Rule(
        lambda status, _: status == 403,
        errors.PermissionDenied,
        "the connection's user may not do this",
        "map the user, or a backend role of the user, to ml_full_access (Security API: rolesmapping)",
    ),
    Rule(
        lambda status, _: status == 404,
        errors.NotFound,
        "the cluster has no such object",
        "run the provisioning again: it makes what is missing",
    ),
    Rule(
        lambda status, _: status in BUSY,
        errors.ServerBusy,
        "the cluster, or what stands before it, is not ready",
        "run again; if it stays, look at the cluster's health",
    ),
    Rule(
        lambda status, _: 300 <= status < 400,
        errors.RequestRefused,
        "the host answers with a redirect, so it is no OpenSearch endpoint",
        "set host, port and scheme of the Airflow connection to the cluster's own endpoint",
    ),
)


def translate(error: TransportError | SerializationError, *, conn_id: str) -> OpenSearchMLError:
    """Return our exception for one of opensearch-py's.

    :param conn_id: the Airflow connection, named in the fix.
    """
    request = getattr(error, "request_line", "request")
    if isinstance(error, SerializationError):
        return errors.RequestRefused(
            "the answer is not JSON, so the host is no OpenSearch endpoint",
            evidence=f"{request} -> {_shortened(str(error))}",
            fix=f"check host and port of connection {conn_id}",
        )
    if isinstance(error, NoConnection):
        return _no_connection(error, request, conn_id)
    status, words = int(error.status_code), server_words(error.info or error.error)
    evidence = f"{request} -> {status} {_shortened(words)}"
    for rule in RULES:
        if rule.fits(status, words):
            fix = f"{rule.fix} ({conn_id})" if rule.error is errors.AuthenticationFailed else rule.fix
            return rule.error(rule.cause, evidence=evidence, fix=fix)
    return errors.RequestRefused(
        "the cluster refuses the request", evidence=evidence, fix="correct what the server's words name, then run again"
    )


def server_words(info: Any) -> str:
    """Return what an error body says: ``type: reason`` of its root cause, or its text."""
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except ValueError:
            return info.strip()
    if not isinstance(info, dict):
        return str(info)
    error = info.get("error", info)
    if not isinstance(error, dict):
        return str(error)
    causes = [cause for cause in error.get("root_cause") or [] if isinstance(cause, dict)] or [error]
    if "reason" in causes[0]:
        return f"{causes[0].get('type', 'error')}: {causes[0]['reason']}"
    return str(info.get("message") or json.dumps(info))


def _no_connection(error: NoConnection, request: str, conn_id: str) -> OpenSearchMLError:
    words = _shortened(re.sub(r" object at 0x[0-9a-f]+", "", str(error.error)))
    evidence = f"{request} -> {words}"
    if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words:
        return errors.TLSNotVerified(
            "the cluster speaks plain HTTP where the connection asks for TLS",
            evidence=evidence,
            fix=f'if that is meant, write "use_ssl": false in the extra of connection {conn_id}',
        )
    if isinstance(error, SSLError):
        return errors.TLSNotVerified(
            "the cluster's certificate is not trusted",
            evidence=evidence,
            fix=f'give the CA bundle as "ca_certs" in the extra of connection {conn_id}, '
            "and the host name that the certificate is for",
        )
    if isinstance(error, ConnectionTimeout):
        return errors.Unreachable(
            "the cluster did not answer in time",
            evidence=evidence,
            fix=f"check that Airflow's workers reach host and port of connection {conn_id} (firewall, VPC)",
        )
    return errors.Unreachable(
        "the cluster cannot be reached",
        evidence=evidence,
        fix=f"check host and port of connection {conn_id}, and that the cluster runs",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= EVIDENCE_LENGTH else f"{text[:EVIDENCE_LENGTH]}… ({len(text)} characters)"
