"""A server of the demo or of a test in a process of its own: start it, know when it answers, stop that very process.

The server prints its URL as the first line on standard output once it listens. It picks a free port itself, so two
servers that start at the same time cannot be promised the same one.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

import httpx
import psutil

from local.errors import LocalStackError

HOST = "127.0.0.1"

_REPOSITORY = Path(__file__).resolve().parents[1]
_POLL_S = 0.05
_CREATED_TOLERANCE_S = 2.0  # the system's boot time, which it is counted from, moves when the clock is adjusted
_LOG_TAIL_CHARACTERS = 2_000

Server = TypeVar("Server", bound="ServerProcess")


class ServerStartError(LocalStackError):
    """The server's process ended, or did not answer in time; the evidence is the end of its log."""


@dataclass(frozen=True)
class ServerProcess:
    """A running server. Plain values, so that it can be written down and stopped by another process later.

    :param url: scheme, host and port, without a slash at the end.
    :param pid: its process id.
    :param created_s: when that process was created, as psutil tells it; a pid alone may by now be someone else's.
    """

    url: str
    pid: int
    created_s: float

    def process(self) -> psutil.Process | None:
        """The process, or ``None`` once it has ended, also when its pid was given to another one since."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_s) < _CREATED_TOLERANCE_S
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """Ask the process to end, and kill it if it has not after the timeout. Stopping twice does nothing."""
        process = self.process()
        if process is None:
            return
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            deadline = time.monotonic() + timeout_s
            while self.process() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            process.kill()
        # Collects the exit code of a child. Another process's child stays a zombie until its own parent does that.
        with suppress(psutil.Error):
            process.wait(0)

    def __enter__(self: Server) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_server(
    handle: type[Server],
    module: str,
    arguments: Sequence[str] = (),
    *,
    ready_path: str,
    environment: Mapping[str, str] | None = None,
    log_file: Path | None = None,
    ca_path: Path | None = None,
    timeout_s: float = 60.0,
) -> Server:
    """Start ``python -m MODULE ARGUMENTS`` and return once it answers over HTTP.

    :param handle: the class to return, with the methods that this kind of server has.
    :param ready_path: path that answers below 500 when the server works, such as ``/_control/requests``.
    :param environment: variables that the process gets in addition to ours.
    :param log_file: where its standard error goes; a temporary file if not given.
    :param ca_path: certificate, in PEM, that the server's own is verified with if it speaks TLS.
    :param timeout_s: budget in seconds for the whole start.
    :raises ServerStartError: it ended or stayed silent; nothing is left running.
    """
    deadline = time.monotonic() + timeout_s
    with open(log_file, "w+b") if log_file else tempfile.TemporaryFile() as log:  # noqa: PTH123 Path.open cannot be the other branch's type
        # A session of its own: Ctrl-C in a terminal ends the demo's command, which then stops its servers in order.
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=_REPOSITORY,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        with ExitStack() as unless_it_started:
            unless_it_started.callback(_kill, child)
            try:
                server = handle(_first_line(child, deadline), child.pid, psutil.Process(child.pid).create_time())
                _wait_until_ready(child, server.url + ready_path, deadline, ca_path)
            except (TimeoutError, psutil.NoSuchProcess) as error:
                cause = f"{module} did not start: {error}"
                raise ServerStartError(cause, evidence=_tail(log), fix=f"see what python -m {module} says") from error
            unless_it_started.pop_all()
    return server


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _first_line(child: subprocess.Popen[bytes], deadline: float) -> str:
    lines: list[bytes] = []
    assert child.stdout is not None  # noqa: S101 a pipe was asked for
    # A thread, because a pipe has no read with a timeout; it ends with the line or with the process.
    reader = threading.Thread(target=lambda pipe: lines.append(pipe.readline()), args=(child.stdout,), daemon=True)
    reader.start()
    reader.join(max(0.0, deadline - time.monotonic()))
    if not reader.is_alive():
        child.stdout.close()  # nothing more is ever said there
    line = lines[0].decode().strip() if lines else ""
    if not line.startswith("http"):
        raise TimeoutError("it never said at which URL it listens")
    return line


def _wait_until_ready(child: subprocess.Popen[bytes], url: str, deadline: float, ca_path: Path | None) -> None:
    trusted = ssl.create_default_context(cafile=ca_path)
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise TimeoutError(f"it ended with exit code {child.returncode}")
        with suppress(httpx.TransportError):
            if httpx.get(url, trust_env=False, verify=trusted).status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return
        time.sleep(_POLL_S)
    raise TimeoutError(f"{url} did not answer")


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-_LOG_TAIL_CHARACTERS:].strip() or "it wrote nothing"
