"""opensearch-py's exceptions, and the server's words in them, turned into our own: one border, one table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout, SerializationError, SSLError, TransportError

from opensearch_ml import errors
from opensearch_ml.aws import refusals
from opensearch_ml.errors import OpenSearchMLError

Fits = Callable[[int, str], bool]

EVIDENCE_LENGTH = 1500
BUSY = frozenset({429, 502, 503, 504})


class Rule(NamedTuple):
    """What a server's answer means."""

    fits: Fits
    error: type[OpenSearchMLError]
    cause: str
    fix: str


def _says(*words: str) -> Fits:
    return lambda _, text: any(word in text for word in words)


def _is(*statuses: int) -> Fits:
    return lambda status, _: status in statuses


def _both(one: Fits, other: Fits) -> Fits:
    return lambda status, text: one(status, text) and other(status, text)


_REMOTE = _says(*refusals.REMOTE)

# The first that fits counts: what the model's platform said goes before what the cluster says by itself.
RULES = (
    Rule(
        lambda status, text: (
            "remote_connector_throttling_exception" in text
            or (_REMOTE(status, text) and (status in BUSY or status >= 500))
        ),
        errors.RemoteModelBusy,
        "the model's platform is throttling or failing",
        "try again later, or look at the platform's own status and quota",
    ),
    Rule(
        _both(_REMOTE, _says("model_not_found", "does not exist or you do not have access to it")),
        errors.RemoteModelRefused,
        "the model's platform has no such model, or not for this credential",
        "check parameters.model of the connector, and that the key has access to that model",
    ),
    Rule(
        _both(_REMOTE, _is(401, 403)),
        errors.RemoteCredentialRefused,
        "the model's platform refuses the connector's credential",
        "check that the credential which the blueprint refers to is valid for this platform and model",
    ),
    Rule(
        _REMOTE,
        errors.RemoteModelRefused,
        "the model's platform refuses the request",
        "compare the action's URL, headers and request_body with the platform's API reference",
    ),
    Rule(
        _says("Error communicating with remote model", "The connection was closed during the request"),
        errors.RemoteModelBusy,
        "the cluster cannot reach the model's platform",
        "check from the cluster's network that the connector's URL answers, and client_config's time-outs",
    ),
    Rule(
        _says("Remote service returned empty response body", "No response from model"),
        errors.RemoteModelBusy,
        "the model's platform answers with nothing",
        "try again, or compare the action's URL and method with the platform's API reference",
    ),
    Rule(
        _says("Invalid JSON format"),
        errors.RemoteModelRefused,
        "the model's platform answers with something that is not JSON",
        "compare the action's URL, method and headers with the platform's API reference",
    ),
    Rule(
        _says("Name or service not known", "No address associated with hostname", "nodename nor servname"),
        errors.RequestRefused,
        "the cluster cannot resolve the host of the connector's URL",
        "correct the action's URL, or the name resolution of the cluster's nodes",
    ),
    Rule(
        _says("trying to create uri from endpoint"),
        errors.RequestRefused,
        "the connector's URL is not one that the server can call",
        "correct the action's URL: no underscore in the host, no ${credential.…}, no character that needs escaping",
    ),
    Rule(
        _says("Invalid payload", "placeholder not filled in payload"),
        errors.RequestRefused,
        "the predict's parameters do not make the action's request_body JSON",
        "give every parameter that request_body names, with quotes around the placeholder where the value is text",
    ),
    Rule(
        _says("Fail to execute PREDICT"),
        errors.RequestRefused,
        "the server cannot process the request or the platform's answer",
        "correct the action's pre_process_function and post_process_function: their input is not what they expect",
    ),
    Rule(
        _says("is not matching the trusted connector endpoint regex"),
        errors.UntrustedEndpoint,
        "the cluster does not trust the connector's URL",
        "run the trusted endpoints step with a user that may change cluster settings, or add the URL's pattern to "
        "plugins.ml_commons.trusted_connector_endpoints_regex",
    ),
    Rule(
        _says("private ip address"),
        errors.RequestRefused,
        "the cluster does not call private addresses",
        "set settings.private_ip_enabled: true in the target, then undeploy and deploy the model",
    ),
    Rule(
        _says("pattern_syntax_exception"),
        errors.RequestRefused,
        "an entry of the cluster's trusted endpoints is not a valid Java regular expression",
        "correct or remove that entry of plugins.ml_commons.trusted_connector_endpoints_regex",
    ),
    Rule(
        _says("Remote Inference is currently disabled"),
        errors.RequestRefused,
        "the cluster has remote models switched off",
        "set plugins.ml_commons.remote_inference.enabled: true (the server's message names the setting wrongly)",
    ),
    Rule(
        _says("no eligible node"),
        errors.DeployFailed,
        "no node of the cluster may run remote models",
        "look at plugins.ml_commons.task_dispatcher.eligible_node_role.remote_model and exclude_nodes._name",
    ),
    Rule(
        _says("Model not ready"),
        errors.RequestRefused,
        "the model is not deployed",
        "deploy it: run opensearch_ml_provision for its blueprint",
    ),
    Rule(
        _says("Model is disabled"),
        errors.RequestRefused,
        "the model is disabled",
        "set model.is_enabled: true in the blueprint and provision it",
    ),
    Rule(
        _says("Request is throttled at"),
        errors.ServerBusy,
        "the model's own rate limiter refuses the request",
        "try again later, or raise model.rate_limiter in the blueprint",
    ),
    Rule(
        _says("master key has not been initialized"),
        errors.ServerBusy,
        "the cluster is still making the key that it encrypts credentials with",
        "run again in ten seconds",
    ),
    Rule(
        _says("specify connector access control parameters because"),
        errors.RequestRefused,
        "access control is off for connectors, so the cluster takes no access_mode and no backend_roles",
        "set settings.connector_access_control_enabled: true in the target, or remove them from connector",
    ),
    Rule(
        _says("specify model access control parameters because"),
        errors.RequestRefused,
        "access control is off for models, so the cluster takes no access_mode and no backend_roles",
        "set settings.model_access_control_enabled: true in the target, or remove them from model.group",
    ),
    Rule(
        _says("still using this connector"),
        errors.InUse,
        "the connector is in use",
        "update or delete the models that the message names first",
    ),
    Rule(
        _both(_is(409), _says("associated model versions")),
        errors.InUse,
        "the model group is not empty",
        "delete its models first",
    ),
    Rule(
        lambda _, text: "Fail to search" in text or "all shards failed" in text,
        errors.ServerBusy,
        "an ML index is being created, and cannot be searched yet",
        "run again",
    ),
    Rule(
        _says("already being used by a model group"),
        errors.Conflict,
        "another writer created a model group of that name first",
        "run again",
    ),
    Rule(
        lambda status, text: status == 409 or "version_conflict_engine_exception" in text,  # 2.19 says 500
        errors.Conflict,
        "another writer was faster",
        "run again",
    ),
    Rule(
        _says("no handler found for uri"),
        errors.RequestRefused,
        "the cluster lacks the plugin that answers this request",
        "install opensearch-ml (for rolesmapping: opensearch-security) on the cluster's nodes",
    ),
    Rule(
        _is(401),
        errors.AuthenticationFailed,
        "the cluster does not accept the connection's credentials",
        "correct login and password of the Airflow connection",
    ),
    Rule(
        _both(_is(403), _says("cluster:admin/settings/update")),
        errors.PermissionDenied,
        "the connection's user may not change cluster settings",
        "cluster settings are not in ml_full_access: use a connection whose user has cluster:admin/settings/update, "
        "or have an administrator set it",
    ),
    Rule(
        _both(_is(403), _says("No permission to access REST API", "is reserved")),
        errors.PermissionDenied,
        "the connection's user may not change the Security plugin's configuration",
        "use a connection whose user is a Security administrator (all_access), and no reserved role or mapping",
    ),
    Rule(
        _both(_is(403, 429), _says("cluster_block_exception")),
        errors.RequestRefused,
        "the cluster takes no writes",
        "look at the cluster's disks and at index.blocks: a full disk makes indices read-only",
    ),
    Rule(
        _says(
            "have permission to access this connector",
            "have permission to update the connector",
            "not allowed to delete this connector",
            "have privilege to perform this operation on this model",
            "have permissions to perform this operation on this model",
            "No permission to undeploy model",
        ),
        errors.PermissionDenied,
        "the object is not shared with the connection's user",
        "have its owner share it with a backend role of the user (access_mode: restricted), or connect as its owner",
    ),
    Rule(
        _is(403),
        errors.PermissionDenied,
        "the connection's user may not do this",
        "map the user, or a backend role of the user, to ml_full_access (Security API: rolesmapping)",
    ),
    Rule(
        _is(404),
        errors.NotFound,
        "the cluster has no such object",
        "run the provisioning again: it makes what is missing",
    ),
    Rule(
        _is(*BUSY),
        errors.ServerBusy,
        "the cluster, or what stands before it, is not ready",
        "run again; if it stays, look at the cluster's health",
    ),
    Rule(
        _is(*range(300, 400)),
        errors.RequestRefused,
        "the host answers with a redirect, so it is no OpenSearch endpoint",
        "set host, port and scheme of the Airflow connection to the cluster's own endpoint",
    ),
)


def translate(
    error: TransportError | SerializationError,
    *,
    conn_id: str,
    aws_conn_id: str | None = None,
    redact: Callable[[str], str] = str,
) -> OpenSearchMLError:
    """Return our exception for one of opensearch-py's.

    :param conn_id: the Airflow connection, named in the fix.
    :param aws_conn_id: the AWS connection whose keys signed the request, if it was signed.
    :param redact: masks secrets in the server's words, before they are shortened: half a secret is no longer found.
    """
    request = getattr(error, "request_line", "request")
    if isinstance(error, SerializationError):
        return errors.RequestRefused(
            "the answer is not JSON, so the host is no OpenSearch endpoint",
            evidence=f"{request} -> {_shortened(redact(str(error)))}",
            fix=f"check host and port of connection {conn_id}",
        )
    if isinstance(error, NoConnection):
        return _no_connection(error, request, conn_id, redact)
    status, words = int(error.status_code), server_words(error.info or error.error)
    evidence = f"{request} -> {status} {_shortened(redact(words))}".rstrip()
    if meaning := refusals.meaning(status, words, conn_id=conn_id, aws_conn_id=aws_conn_id):
        return meaning.error(meaning.cause, evidence=evidence, fix=meaning.fix)
    for rule in RULES:
        if rule.fits(status, words):
            fix = f"{rule.fix} ({conn_id})" if rule.error is errors.AuthenticationFailed else rule.fix
            return rule.error(rule.cause, evidence=evidence, fix=fix)
    return errors.RequestRefused(
        "the cluster refuses the request", evidence=evidence, fix="correct what the server's words name, then run again"
    )


def server_words(info: Any) -> str:
    """Return what an error body says: ``type: reason`` of its root cause and what caused it, or its text."""
    if isinstance(info, str):
        text = info.strip()
        try:
            info = json.loads(text)
        except ValueError:
            return text
    if not isinstance(info, dict):
        return str(info)
    error = info.get("error", info)
    if not isinstance(error, dict):
        return str(error)
    causes: list[dict[str, Any]] = [c for c in error.get("root_cause") or [] if isinstance(c, dict)] or [error]
    if "reason" in causes[0]:
        words = f"{causes[0].get('type', 'error')}: {causes[0]['reason']}"
        deeper = error.get("caused_by")
        reason = deeper.get("reason") if isinstance(deeper, dict) else None
        return f"{words} (caused by {reason})" if reason and str(reason) not in words else words
    return str(info.get("message") or info.get("Message") or json.dumps(info))


def _no_connection(error: NoConnection, request: str, conn_id: str, redact: Callable[[str], str]) -> OpenSearchMLError:
    words = _shortened(redact(re.sub(r" object at 0x[0-9a-f]+", "", str(error.error))))
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
    if "RemoteDisconnected" in words or "Connection reset by peer" in words:
        return errors.Unreachable(
            "the host closes the connection without an answer",
            evidence=evidence,
            fix=f"check port and scheme of connection {conn_id}: an OpenSearch with TLS does so to plain HTTP",
        )
    return errors.Unreachable(
        "the cluster cannot be reached",
        evidence=evidence,
        fix=f"check host and port of connection {conn_id}, and that the cluster runs",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= EVIDENCE_LENGTH else f"{text[:EVIDENCE_LENGTH]}… ({len(text)} characters)"
