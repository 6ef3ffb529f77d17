"""The credential: references only, each used where the server fills it, which is in headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import closest
from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.checks import aws
from opensearch_ml.checks.texts import templates
from opensearch_ml.errors import Finding

LABEL_PREFIX = "opensearch_ml_"
REFERENCE_HINT = "{conn_id: my_connection, field: password}"
SIGNING = {"access_key", "secret_key", "session_token", *aws.LITERALS}
CERTIFICATES = {"client_cert_pem", "client_key_pem", "client_cert_pkcs12", "ca_cert_pem", "keystore_password"}


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield a credential that is empty, and references that nothing uses."""
    connector = blueprint.connector
    if not connector.credential and not connector.is_mcp and not blueprint.supplied:
        yield Finding(
            "connector.credential",
            "is empty, which the server refuses even where no header uses it",
            f"Give it one key, for instance key: {REFERENCE_HINT}.",
        )
    if not any(missing(blueprint)):
        yield from _unused(connector)


def literals(credential: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the literal values of a credential that may be secrets.

    :param credential: as the document has it.
    """
    for key, value in credential.items():
        if isinstance(value, (str, int, float)) and (wrong := aws.literal_problem(key, placeholders.as_text(value))):
            problem, form = wrong
            yield Finding(
                f"connector.credential.{key}",
                f"{problem}, and a secret may stand in no file",
                f"Write {f'{form}, or ' if form else ''}a reference instead: {key}: {REFERENCE_HINT}.",
            )


def misplaced(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield parameters that have a name of our own, and uses of the credential outside of headers."""
    connector = blueprint.connector
    for key in connector.parameters:
        if key.startswith(LABEL_PREFIX):
            yield Finding(
                f"connector.parameters.{key}", "has a name that is kept for our own marks", "Use another name."
            )
    for path, text in templates(connector):
        if ".headers." not in path and placeholders.names(text, "credential"):
            yield Finding(
                path, "uses ${credential.…}, which the server fills in headers only", "Move it into a header."
            )


def missing(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield placeholders without their reference."""
    connector = blueprint.connector
    for path, headers in connector.headers_by_path:
        for name, value in headers.items():
            for key in sorted(placeholders.names(value, "credential") - connector.credential.keys()):
                if key.startswith("secretArn.") and "secretArn" in connector.credential:
                    continue  # a value of the JSON that the secret holds
                meant = closest(key, connector.credential)
                yield Finding(
                    f"{path}.{name}",
                    f"uses ${{credential.{key}}}, which is not there: the server would send the placeholder itself",
                    f"Write ${{credential.{meant}}}." if meant else f"Add {key} under connector.credential.",
                )


def asked(connector: Connector) -> set[str]:
    """Return the credential's keys that the headers ask for."""
    texts = [value for _, headers in connector.headers_by_path for value in headers.values()]
    return {name for text in texts for name in placeholders.names(text, "credential")}


def _unused(connector: Connector) -> Iterator[Finding]:
    used = asked(connector)
    if not used and len(connector.credential) == 1 and connector.protocol == "http":
        return  # the server demands a credential even for an endpoint that asks for none
    if connector.protocol == "aws_sigv4":
        used |= SIGNING
    if connector.client_config and connector.client_config.mutual_tls_enabled:
        used |= CERTIFICATES
    for key in connector.references.keys() - used:
        signs = " (protocol http signs nothing)" if connector.protocol == "http" and key in SIGNING else ""
        yield Finding(
            f"connector.credential.{key}",
            f"is used by no header, so it is stored and never sent{signs}",
            f"Write ${{credential.{key}}} in a header, or remove it.",
        )
