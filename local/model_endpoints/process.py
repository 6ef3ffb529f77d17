"""The model endpoints as a process: start it, steer it, read what it recorded."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from local.model_endpoints.behaviour import Behaviour
from local.model_endpoints.control import DEFAULT_LIMIT
from local.model_endpoints.keys import save_keys
from local.model_endpoints.recorder import RecordedRequest
from local.server_process import ServerProcess, start_server

_TIMEOUT_S = 30.0
# Several would spin while they wait for one another: with both cores busy an embedding took 95 ms, with one 12 to 19.
_ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class ModelEndpoints(ServerProcess):
    """The running endpoints. Keys are given as the keys file has them: ``{"openai": [KEY], "aws": [{…}]}``."""

    def behave(self, **behaviour: Any) -> None:
        """Misbehave from now on; the fields are those of :class:`~local.model_endpoints.behaviour.Behaviour`.

        Example: ``endpoints.behave(family="openai", status=429, times=3)``.
        """
        self._control("PUT", "behaviours", json=asdict(Behaviour.from_json(behaviour)))

    def behave_normally(self) -> None:
        self._control("DELETE", "behaviours")

    def accept_keys(self, document: dict[str, Any]) -> None:
        """Accept these keys too."""
        self._control("POST", "keys", json=document)

    def replace_keys(self, document: dict[str, Any]) -> None:
        """Accept these keys and no others."""
        self._control("PUT", "keys", json=document)

    def refuse_key(self, fingerprint: str) -> None:
        """:raises httpx.HTTPStatusError: no accepted key has that fingerprint."""
        self._control("DELETE", f"keys/{fingerprint}")

    def accepted_fingerprints(self) -> dict[str, list[str]]:
        """What is accepted, by family and ``aws``."""
        accepted: dict[str, list[str]] = self._control("GET", "keys")
        return accepted

    def use_account(self, url: str | None) -> None:
        """Ask the AWS account there about keys that are not accepted here, and about what they may do.

        :param url: of the account's server; ``None``: from now on there is no account.
        """
        self._control("PUT", "account", json={"url": url})

    def requests(self, *, since: float = 0.0, limit: int = DEFAULT_LIMIT, **filters: str) -> list[RecordedRequest]:
        """The newest recorded requests, oldest first.

        :param since: arrived at this time or later, in seconds since the epoch.
        :param filters: ``family`` and ``fingerprint``.
        """
        answer = self._control("GET", "requests", params={"since": since, "limit": limit, **filters})
        return [RecordedRequest(**fields) for fields in answer["requests"]]

    def counts_by_fingerprint(self, *, since: float = 0.0) -> dict[str, int]:
        """How many requests carried each credential; only answered requests count, by the time of their arrival.

        :param since: arrived at this time or later, in seconds since the epoch.
        """
        counts: dict[str, int] = self._control("GET", "requests/counts", params={"since": since})
        return counts

    def forget_requests(self) -> None:
        self._control("DELETE", "requests")

    def _control(self, method: str, path: str, **options: Any) -> Any:
        # Never through a proxy that the environment may name: this is the same machine.
        answer = httpx.request(method, f"{self.url}/_control/{path}", timeout=_TIMEOUT_S, trust_env=False, **options)
        answer.raise_for_status()
        return answer.json()


def start_model_endpoints(
    *,
    keys: dict[str, Any] | None = None,
    port: int = 0,
    log_file: Path | None = None,
    account_url: str | None = None,
) -> ModelEndpoints:
    """Start the model endpoints on 127.0.0.1; use it in a ``with`` statement, or call ``stop()``.

    :param keys: what to accept, as the keys file has it; nothing if not given.
    :param port: TCP port; a free one if 0.
    :param log_file: where the server's warnings go; credentials are never among them.
    :param account_url: the AWS account whose keys are accepted as well; it may start later.
    :raises ServerStartError: it did not come up.
    """
    with tempfile.TemporaryDirectory() as directory:
        keys_file = Path(directory) / "keys.json"
        save_keys(keys_file, keys or {})
        arguments = ["--port", str(port), "--keys-file", str(keys_file)]
        if account_url:
            arguments += ["--account-url", account_url]
        return start_server(
            ModelEndpoints,
            "local.model_endpoints",
            arguments,
            ready_path="/_control/keys",
            environment=_ONE_BLAS_THREAD,
            log_file=log_file,
        )
