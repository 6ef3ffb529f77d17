"""Every test, in parts, two at a time: ``python -m tests``. Each part has its own servers, which end with it.

Most of the time a test waits for a server; one after the other they would take nearly twice as long on two cores.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

AT_ONCE = 2
TELL_EVERY_S = 60.0
APART = ("tests/integration/domain", "tests/integration/iam", "tests/integration/local")
# Longest first, so that all lanes end at about the same time.
PARTS = {
    "integration": ("tests/integration", *(f"--ignore={folder}" for folder in APART)),
    "e2e": ("tests/e2e", "--ignore=tests/e2e/domain", "--ignore=tests/e2e/test_commands.py"),
    "integration with AWS": APART,
    "commands": ("tests/e2e/test_commands.py",),
    "e2e with AWS": ("tests/e2e/domain",),
    "unit": ("tests/unit",),
    "dags": ("tests/dags",),
}


@dataclass
class Part:
    """One run of pytest, and what it prints."""

    name: str
    arguments: tuple[str, ...]
    output: Path
    exit_code: int | None = field(default=None, init=False)

    def run(self) -> None:
        started = time.monotonic()
        tell(f"{self.name}: started")
        with self.output.open("w") as output:
            command = [sys.executable, "-m", "pytest", "--durations=10", *self.arguments]
            self.exit_code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
        took_s = time.monotonic() - started
        tell(f"{self.name}: {self.verdict} in {took_s:.0f} s", before=self.output.read_text())

    @property
    def verdict(self) -> str:
        if self.exit_code is None:
            return "not run"
        return "passed" if self.exit_code == 0 else f"exit code {self.exit_code}"

    @property
    def progress(self) -> str:
        percents = re.findall(r"\[ *(\d+)%\]", self.output.read_text()) if self.output.exists() else []
        return f"{self.name} {percents[-1] if percents else 0} %"


def tell(text: str, *, before: str = "") -> None:
    """Print in one piece, whatever other threads print."""
    sys.stdout.write(f"{before}==> {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run every part; what one prints is shown once it has ended.

    :return: exit code: 0 only if all have passed.
    """
    with TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as lanes:
        parts = [Part(name, arguments, Path(folder) / name) for name, arguments in PARTS.items()]
        running = [lanes.submit(part.run) for part in parts]
        try:
            _tell_until_done(parts, running)
        except KeyboardInterrupt:  # it has reached the parts that run, too, which end their servers
            lanes.shutdown(cancel_futures=True)
    for part in parts:
        tell(f"{part.name}: {part.verdict}")
    return 0 if all(part.exit_code == 0 for part in parts) else 1


def _tell_until_done(parts: Sequence[Part], running: Sequence[Future[None]]) -> None:
    started = time.monotonic()
    while wait(running, timeout=TELL_EVERY_S).not_done:
        under_way = [part.progress for part in parts if part.output.exists() and part.exit_code is None]
        tell(f"{(time.monotonic() - started) / 60:.0f} min: {', '.join(under_way)}")


if __name__ == "__main__":
    sys.exit(main())
