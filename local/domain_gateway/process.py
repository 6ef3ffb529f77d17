"""The domain gateway as a process: start it, steer it, read what it recorded."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local.domain_gateway.gateway import RecordedRequest
from local.opensearch import OpenSearchCluster
from local.server_process import ServerProcess, start_server

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class DomainGateway(ServerProcess):
    """The running gateway; ``url`` is the domain's endpoint.

    :param ca: path of the certificate, in PEM, to verify the gateway's with.
    """

    ca: str

    @property
    def ca_path(self) -> Path:
        return Path(self.ca)

    def set_clock_offset(self, seconds: float) -> None:
        """Let the domain's clock be that much ahead of this machine's, or behind it if negative."""
        self._control("PUT", "clock", json={"offset_s": seconds})

    def requests(self) -> list[RecordedRequest]:
        """What was asked and answered since the last :meth:`forget_requests`, oldest first."""
        return [RecordedRequest(**fields) for fields in self._control("GET", "requests")]

    def forget_requests(self) -> None:
        self._control("DELETE", "requests")

    def _control(self, method: str, path: str, **options: Any) -> Any:
        trusted = ssl.create_default_context(cafile=self.ca)
        # Never through a proxy that the environment may name: this is the same machine.
        with httpx.Client(verify=trusted, trust_env=False, timeout=_TIMEOUT_S) as client:
            answer = client.request(method, f"{self.url}/_gateway/{path}", **options)
        answer.raise_for_status()
        return answer.json()


def start_domain_gateway(
    cluster: OpenSearchCluster, account_url: str, domain_arn: str, *, port: int = 0, log_file: Path | None = None
) -> DomainGateway:
    """Start the gateway on 127.0.0.1; use it in a ``with`` statement, or call ``stop()``.

    :param cluster: with ``proxy_auth=True``, started. The gateway shows its certificate.
    :param account_url: of the AWS account's stand-in.
    :param domain_arn: such as ``arn:aws:es:eu-west-1:123456789012:domain/search``.
    :param port: TCP port; a free one if 0.
    :param log_file: where the server's warnings go; credentials are never among them.
    :raises ServerStartError: it did not come up.
    """
    arguments = {
        "port": port,
        "domain-arn": domain_arn,
        "cluster-url": cluster.url,
        "ca": cluster.ca_path,
        "certificate": cluster.certificate_path,
        "key": cluster.key_path,
        "account-url": account_url,
    }
    started = start_server(
        ServerProcess,
        "local.domain_gateway",
        [f"--{name}={value}" for name, value in arguments.items()],
        ready_path="/_gateway/requests",
        log_file=log_file,
        ca_path=cluster.ca_path,
    )
    return DomainGateway(started.url, started.pid, started.created_s, str(cluster.ca_path))
