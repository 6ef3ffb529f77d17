"""Where the peer is installed: its packages need others than ours, so it has a virtual environment of its own.

About 250 MB and some seconds, once for a clone; nothing of it is imported here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local.airflow_standalone import REPOSITORY

LOCK = Path(__file__).with_name("requirements.lock")
FOLDER = REPOSITORY / ".local" / "peer"
PROGRAM = "opensearch-ml"
PYTHONS = ">=3.11"  # what opensearch-py-ml 1.3.0 asks for
TIMEOUT_S = 600


class CannotInstall(Exception):  # noqa: N818
    """The peer cannot be installed here; the message says why, and what to do."""


def install(folder: Path = FOLDER) -> Path:
    """Install the peer unless it is there already, and return its program.

    :param folder: for its environment; several processes may ask at once.
    :raises CannotInstall: no fitting Python, or a package index that does not answer.
    """
    program = folder / "bin" / PROGRAM
    stamp = folder / ".installed"
    locked = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != locked:
            shutil.rmtree(folder, ignore_errors=True)
            python = sys.executable if sys.version_info >= (3, 11) else PYTHONS
            _uv("venv", "--quiet", "--python", python, str(folder))
            into = ["--python", str(folder / "bin" / "python")]
            _uv("pip", "install", "--quiet", *into, "--require-hashes", "--no-deps", "--requirement", str(LOCK))
            stamp.write_text(locked)
    return program


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise CannotInstall("uv is needed to install the peer; `make venv` brings it")
    settings = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    ended = subprocess.run(
        [uv, *arguments], env=settings, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if ended.returncode:
        raise CannotInstall(
            f"uv {arguments[0]} failed: {ended.stderr.strip()[-500:]}\n"
            f"  fix: have a Python {PYTHONS} and a package index that answers, and run `make peer` again"
        )
