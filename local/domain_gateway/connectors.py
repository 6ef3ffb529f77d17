"""Where in a request a connector is, and a request with another credential in it."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_ML = "/_plugins/_ml"
_WHOLE_BODY = re.compile(f"POST {_ML}/connectors/_create|PUT {_ML}/connectors/[^/]+")
_FIELD_CONNECTOR = re.compile(f"POST {_ML}/models/_register|PUT {_ML}/models/[^/]+")


@dataclass(frozen=True)
class ConnectorRequest:
    """A request that creates or changes a connector with a role.

    :param document: the whole body.
    :param connector: the connector in it.
    """

    document: dict[str, Any]
    connector: dict[str, Any]

    @property
    def credential(self) -> dict[str, Any]:
        """It holds ``roleArn``."""
        found: dict[str, Any] = self.connector["credential"]
        return found

    def body_with(self, credential: dict[str, str]) -> bytes:
        """The body with another credential."""
        self.connector["credential"] = credential
        return json.dumps(self.document).encode()


def connector_with_role(method: str, path: str, content_encoding: str, body: bytes) -> ConnectorRequest | None:
    """The connector in a request, whatever its protocol; ``None`` if there is none, or none with ``roleArn``.

    :param path: as it was sent, percent-encoded.
    """
    called = f"{method} {unquote(path).rstrip('/')}"
    if not (whole := _WHOLE_BODY.fullmatch(called)) and not _FIELD_CONNECTOR.fullmatch(called):
        return None
    try:
        document = json.loads(gzip.decompress(body) if content_encoding == "gzip" else body)
    except (OSError, EOFError, ValueError):
        return None  # the server says what is wrong with it
    connector = document if whole or not isinstance(document, dict) else document.get("connector")
    credential = connector.get("credential") if isinstance(connector, dict) else None
    if not isinstance(connector, dict) or not isinstance(credential, dict) or "roleArn" not in credential:
        return None
    return ConnectorRequest(document, connector)
