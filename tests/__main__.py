"""Every test, in two halves at once: ``python -m tests``. Each half has its own servers and its own Airflow.

Most of the time a test waits for a server; one after the other they would take nearly twice as long on two cores.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from typing import IO

HALVES = (("tests/unit", "tests/dags", "tests/e2e"), ("tests/integration",))


def main() -> int:
    """Run both halves: what the second says is shown once the first has ended.

    :return: exit code: 0 only if both passed.
    """
    with tempfile.NamedTemporaryFile("w+") as kept:
        second = _pytest(HALVES[1], kept)
        first = _pytest(HALVES[0])
        # Ctrl-C reaches both, and each ends its own servers.
        codes = [_ended(first), 0]
        print(f"==> {' '.join(HALVES[1])}, which have run beside them", flush=True)
        with open(kept.name) as said:  # noqa: PTH123 a name, not a path
            while second.poll() is None:
                _pass_on(said)
            _pass_on(said)
        codes[1] = _ended(second)
    for half, code in zip(HALVES, codes, strict=True):
        print(f"==> {' '.join(half)}: {'passed' if code == 0 else f'exit code {code}'}")
    return max(codes)


def _pytest(half: tuple[str, ...], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *half]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT if output else None)


def _ended(half: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return half.wait()
        except KeyboardInterrupt:
            continue


def _pass_on(said: IO[str]) -> None:
    print(said.read(), end="", flush=True)
    time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
