"""Replaces what belongs to one machine or one stack, and refuses to write a secret."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOLDER = "/opt/stack"


def neutral(recorded: Any, *, folder: Path, ports: Mapping[int, int], secrets: Iterable[str]) -> Any:
    """Return a recording without paths and ports of this machine.

    :param folder: of the stack; it becomes `FOLDER`.
    :param ports: by the port that was used, the port that is written.
    :raises ValueError: a secret or the name of this machine is in it.
    """
    text = json.dumps(recorded, ensure_ascii=False)
    for path in {str(folder), str(folder.resolve())}:
        text = text.replace(path, FOLDER)
    for used, written in ports.items():
        text = re.sub(rf"((?:127\\*\.0\\*\.0\\*\.1|localhost)[^0-9A-Za-z]{{1,3}}){used}\b", rf"\g<1>{written}", text)
    hidden = [one for one in secrets if one and one in text]
    if hidden or re.search(rf"\b{re.escape(socket.gethostname())}\b", text):
        raise ValueError(f"{len(hidden)} secrets are in the recording, or the name of this machine is")
    return json.loads(text)


def write(path: Path, recorded: Any) -> None:
    """Write a recording as JSON that people can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
