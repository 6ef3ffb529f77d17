"""How the cluster calls the endpoint: settings that do not do what they seem to.

Source: ml-commons 3.6 RetryableActionExtension (a retry needs the header ``x-amzn-ErrorType: ThrottlingException…``,
which 429 and 503 of other platforms lack) and main CertificateProcessor.
"""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_ml.blueprint.models import Blueprint, ClientConfig, Connector
from opensearch_ml.errors import Finding

OF_RETRIES = ("retry_backoff_millis", "retry_timeout_seconds", "retry_backoff_policy")


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what the client's settings cannot do."""
    connector = blueprint.connector
    if connector.client_config:
        yield from _retries(connector.client_config, connector.protocol)
        yield from _mutual_tls(connector.client_config, connector)


def _retries(config: ClientConfig, protocol: str) -> Iterator[Finding]:
    path = "connector.client_config"
    if config.max_retry_times and protocol != "aws_sigv4":
        yield Finding(
            f"{path}.max_retry_times",
            "retries nothing here: the server repeats only what AWS throttles, and never a 429 or 503 of others",
            "Remove it, and let the caller retry.",
        )
    if not config.max_retry_times:
        for field in OF_RETRIES:
            if getattr(config, field) is not None:
                yield Finding(
                    f"{path}.{field}", "does nothing while max_retry_times is 0, its default", "Add it, or remove this."
                )


def _mutual_tls(config: ClientConfig, connector: Connector) -> Iterator[Finding]:
    path, keys = "connector.client_config", connector.credential.keys()
    if not config.mutual_tls_enabled:
        if config.keystore_type:
            yield Finding(f"{path}.keystore_type", "does nothing without mutual_tls_enabled: true", "Add it.")
        return
    if config.skip_ssl_verification:
        yield Finding(
            f"{path}.skip_ssl_verification", "cannot go with mutual_tls_enabled", "Give ca_cert_pem in the credential."
        )
    needed = {"client_cert_pkcs12"} if config.keystore_type == "PKCS12" else {"client_cert_pem", "client_key_pem"}
    if needed - keys:
        lacking = " and ".join(sorted(needed - keys))
        yield Finding(f"{path}.mutual_tls_enabled", f"needs {lacking} in the credential", f"Add {lacking}.")
    if "api_key" in keys:
        yield Finding("connector.credential.api_key", "cannot go with mutual_tls_enabled", "Remove it.")
