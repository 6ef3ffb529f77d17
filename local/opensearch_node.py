"""One node of the embedded cluster: a detached server process, found again by what is on disk of it."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil

from local.distribution import Layout
from local.opensearch_config import HOST, Ports
from local.server_process import ServerProcess

STOP_TIMEOUT_S = 30.0  # it takes a second; flushing a full index on a slow disk takes longer
INITIAL_HEAP = "256m"
OWN_FOLDERS = ("config", "data", "logs", "tmp")  # the server writes here; its keystore is in config
UNPRIVILEGED = "nobody"
TROUBLE_LINES, LAST_LINES, LINE_CHARACTERS = 8, 3, 300
TROUBLE = re.compile(r"\[(ERROR|FATAL)|Exception|\bError\b|^Caused by|^Likely root cause")
PORT_TAKEN = "Address already in use"

_detached: list[subprocess.Popen[bytes]] = []  # kept, because Popen warns when it is collected while its process runs


class Node:
    """A server process and its folder.

    :param folder: holds ``config``, ``data``, ``logs`` and ``tmp``; its name is the node's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports_file = folder / "ports.json"
        self._process_file = folder / "process.json"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def ports(self) -> Ports | None:
        """The ports it listens on, or did when it ran last; ``None`` before its first start."""
        return Ports(**json.loads(self._ports_file.read_text())) if self._ports_file.exists() else None

    @property
    def url(self) -> str | None:
        return f"https://{HOST}:{self.ports.http}" if self.ports else None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs; ``None`` also when the pid is by now another process's."""
        process = self._process()
        return process.pid if process else None

    @property
    def should_run(self) -> bool:
        """Whether it was started and not stopped since; it may have crashed."""
        return self._process_file.exists()

    @property
    def log_path(self) -> Path:
        """What the server said since its last start."""
        return self.folder / "server.log"

    def choose_ports(self, preferred: Ports, say: Callable[[str], None]) -> Ports:
        """Keep its ports if they are free, at the first start take the preferred ones if they are, else any.

        :param preferred: 0 stands for any.
        """
        wanted = self.ports or preferred
        chosen = Ports(*(port if port and _is_free(port) else _free_port() for port in (wanted.http, wanted.transport)))
        if wanted.http not in (0, chosen.http):
            say(f"OpenSearch {self.name}: port {wanted.http} is taken, so it listens on {chosen.http}")
        _write_json(self._ports_file, asdict(chosen))
        return chosen

    def start(self, layout: Layout, heap: str) -> None:
        """Start the server; it keeps running when this process ends. Its configuration must be there."""
        for name in OWN_FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        unprivileged = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
        if unprivileged:  # OpenSearch refuses to run as root
            self._give_to(unprivileged.pw_uid, unprivileged.pw_gid)
        with self.log_path.open("wb") as log:
            child = subprocess.Popen(
                self._command(layout, heap),
                cwd=self.folder / "logs",
                env={"PATH": os.defpath, "HOME": str(self.folder), "LANG": "C.UTF-8"},  # no AWS_* of the caller's
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=unprivileged.pw_uid if unprivileged else None,
                group=unprivileged.pw_gid if unprivileged else None,
                extra_groups=[] if unprivileged else None,
            )
        _detached.append(child)
        created_s = psutil.Process(child.pid).create_time()
        _write_json(self._process_file, asdict(ServerProcess(self.url or "", child.pid, created_s)))

    def stop(self) -> None:
        """End the server and wait until it is gone; kill it if it takes too long. Stopping twice does nothing."""
        if self.should_run:
            self._recorded().stop(timeout_s=STOP_TIMEOUT_S)
            self._process_file.unlink()

    def kill(self) -> None:
        """End the server at once, as a crash would, and wait until it is gone."""
        if process := self._process():
            process.kill()
            process.wait(STOP_TIMEOUT_S)
        self._process_file.unlink(missing_ok=True)

    def delete_data(self) -> None:
        """Forget all indices, the Security plugin's included. The server must be stopped."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def log_tail(self) -> str:
        """What the log ends with: the last lines that tell of trouble, and the very last ones."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        telling = [number for number, line in enumerate(lines) if TROUBLE.search(line)][-TROUBLE_LINES:]
        shown = sorted({*telling, *range(len(lines))[-LAST_LINES:]})
        return "\n    ".join(lines[number][:LINE_CHARACTERS] for number in shown) or "it wrote nothing"

    def lost_its_port(self) -> bool:
        """Whether it ended because another process took its port between choice and use."""
        return self.log_path.exists() and PORT_TAKEN in self.log_path.read_text(errors="replace")

    def _recorded(self) -> ServerProcess:
        return ServerProcess(**json.loads(self._process_file.read_text()))

    def _process(self) -> psutil.Process | None:
        return self._recorded().process() if self.should_run else None

    def _give_to(self, uid: int, gid: int) -> None:
        for name in OWN_FOLDERS:
            folder = self.folder / name
            for path in (folder, *folder.rglob("*")):
                os.chown(path, uid, gid, follow_symlinks=False)

    def _command(self, layout: Layout, heap: str) -> list[str]:
        return [
            str(layout.java),
            *(["-Djava.security.manager=allow"] if layout.version.startswith("2.") else []),
            f"-Xms{INITIAL_HEAP}",
            f"-Xmx{heap}",
            # As in the official jvm.options: collect early, or garbage alone trips ML Commons' memory circuit breaker.
            "-XX:+UseG1GC",
            "-XX:G1ReservePercent=25",
            "-XX:InitiatingHeapOccupancyPercent=30",
            "-XX:TieredStopAtLevel=1",  # starts with half the CPU time; the second compiler pays off after minutes
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            f"-Djna.tmpdir={self.folder / 'tmp'}",  # it would unpack itself into the user's own cache
            "-Djna.nosys=true",
            "-Dio.netty.noUnsafe=true",
            "-Dlog4j2.disable.jmx=true",
            "-Dlog4j.shutdownHookEnabled=false",  # the server closes its log itself, after its last words
            f"-Dopensearch.path.home={layout.home}",
            f"-Dopensearch.path.conf={self.folder / 'config'}",
            "-Dopensearch.distribution.type=tar",
            "-Dopensearch.bundled_jdk=false",
            "-cp",
            f"{layout.home}/lib/*",
            "org.opensearch.bootstrap.OpenSearch",
        ]


def _write_json(path: Path, value: dict[str, object]) -> None:
    """At once, so that another process never reads half of it."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(value))
    unfinished.replace(path)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does: closed connections do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
