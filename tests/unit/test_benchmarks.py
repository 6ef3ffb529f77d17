"""`make bench` runs modules from a clone in which nothing is installed but the requirements."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.support.repository import REPOSITORY


def test_each_benchmark_that_make_bench_runs_can_be_imported_from_a_clean_clone() -> None:
    rule = (REPOSITORY / "Makefile").read_text().partition("\nbench:")[2].partition("\n\n")[0]
    modules = re.findall(r"-m (benchmarks\.\w+)", rule)
    assert len(modules) == 4
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", f"import {', '.join(modules)}"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
