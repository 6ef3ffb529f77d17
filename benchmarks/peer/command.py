"""The peer's command line, run like a person does: its set-up file, ``connector create``, ``model register``.

Each command is a process of its own, answers its prompts with Enter, and writes what it made into a file in its folder.
Source: opensearch-py-ml 1.3.0, ``opensearch_py_ml/ml_commons/cli``.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CUSTOM, OPENAI = "Custom connector", "OpenAI"
OUTPUT = "output.yml"
ENTER = "\n" * 20
TIMEOUT_S = 120
REGISTERED = "register_model"
CREATED = "connector_create"


class PeerFailed(Exception):  # noqa: N818
    """The peer did not do what it was told; the message is what it said."""


@dataclass(frozen=True)
class Cluster:
    """A cluster as the peer is told it.

    :param ca_path: PEM file to verify its TLS with.
    """

    url: str
    user: str
    ca_path: Path
    password: str = field(repr=False)


@dataclass(frozen=True)
class Peer:
    """The peer's command line with a home of its own.

    :param program: as `environment.install` returns it.
    :param folder: an empty one, for its set-up and its output, which hold the password.
    """

    program: Path
    folder: Path
    cluster: Cluster

    def set_up(self) -> None:
        """Tell it the cluster, once."""
        setup = {
            "service_type": "open-source",
            "ssl_check_enabled": True,
            "opensearch_config": {
                "opensearch_domain_region": "",
                "opensearch_domain_endpoint": self.cluster.url,
                "opensearch_domain_username": self.cluster.user,
                "opensearch_domain_password": self.cluster.password,
            },
            "aws_credentials": {},
        }
        self._write("setup.yml", setup)
        self._run("setup", "--path", str(self.folder / "setup.yml"))

    def create_connector(
        self, body: Mapping[str, Any], *, kind: str = CUSTOM, api_key: str | None = None, model_name: str | None = None
    ) -> str:
        """Create a connector and return its id.

        :param body: of ``POST …/connectors/_create``.
        :param kind: of the peer's connectors. `OPENAI` writes `api_key` where the body says ``${auth}`` and
            ``${credential}``, and replaces the cluster's whole list of trusted endpoints by its own.
        """
        told = {
            "setup_config_path": str(self.folder / "setup.yml"),
            "connector_name": kind,
            "connector_body": dict(body),
            "api_key": api_key,
            "model_name": model_name,
        }
        self._write("connector.yml", told)
        self._run("connector", "create", "--path", str(self.folder / "connector.yml"))
        return str(self._made(CREATED)["connector_id"])

    def register_model(self, name: str, connector_id: str, description: str = "Made by the peer") -> str:
        """Register and deploy a model and return its id; the peer does not wait until it is deployed."""
        self._run("model", "register", f"--connectorId={connector_id}", "--name", name, "--description", description)
        return str(self._made(REGISTERED)["model_id"])

    def _made(self, section: str) -> dict[str, Any]:
        found = yaml.safe_load((self.folder / OUTPUT).read_text())[section]
        return dict(found[-1])

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        path = self.folder / name
        path.touch(0o600)
        path.write_text(yaml.safe_dump(dict(content)))

    def _run(self, *arguments: str) -> None:
        ca = str(self.cluster.ca_path)
        settings = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca}
        made = self.folder / OUTPUT
        before = made.stat().st_mtime_ns if made.exists() else 0
        ended = subprocess.run(
            [str(self.program), *arguments],
            cwd=self.folder,
            env=settings,
            input=ENTER,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        # It ends with 0 whatever happened.
        done = arguments[0] == "setup" or (made.exists() and made.stat().st_mtime_ns != before)
        if ended.returncode or not done:
            told = f"{ended.stdout}{ended.stderr}".replace(self.cluster.password, "***").strip()
            raise PeerFailed(f"opensearch-ml {' '.join(arguments[:2])}: {told[-1500:]}")


@dataclass(frozen=True)
class Took:
    """What one connector with its model took, in seconds of the wall, and where it ended."""

    connector_id: str
    model_id: str
    connector_s: float
    model_s: float

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.connector_s + self.model_s


def provision(peer: Peer, names: list[str], body: Mapping[str, Any]) -> list[Took]:
    """Make a connector and a model for each name, one after the other as the peer can, and return what each took.

    :param body: of the connector; its name becomes the model's.
    """
    return [_one(peer, name, {**body, "name": name}) for name in names]


def _one(peer: Peer, name: str, body: Mapping[str, Any]) -> Took:
    started = time.monotonic()
    connector_id = peer.create_connector(body)
    between = time.monotonic()
    model_id = peer.register_model(name, connector_id)
    return Took(connector_id, model_id, between - started, time.monotonic() - between)
