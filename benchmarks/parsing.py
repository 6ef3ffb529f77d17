"""What reading the DAG files costs with a thousand blueprints in the folder, beside an empty folder.

Run: ``python -m benchmarks.parsing``. Each is the processor time of a new process that has imported everything already,
so that only what every parse repeats is counted.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DAGS = REPOSITORY / "dags"
BLUEPRINTS = 1_000
ROUNDS = 5
PARSE = """
import json, sys, time
from airflow.dag_processing.dagbag import DagBag
files = json.loads(sys.argv[1])
took = {}
for file in files:
    assert not DagBag(file).import_errors
for file in files:
    started = time.process_time()
    DagBag(file)
    took[file] = time.process_time() - started
print(json.dumps(took))
"""


def main() -> None:
    """Print a row for each DAG file."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        target = {"opensearch_conn_id": "opensearch_default", "blueprints": ["model_*"]}
        full, empty = _folders(home / "full", target, BLUEPRINTS), _folders(home / "empty", target, 0)
        with_blueprints, without = ([_parsed(home, one) for _ in range(ROUNDS)] for one in (full, empty))
    print(f"| DAG file | no blueprint | {BLUEPRINTS} blueprints | ratio |\n|---|---|---|---|")
    for file in map(str, sorted(DAGS.glob("*.py"))):
        least, most = (statistics.median(one[file] for one in each) for each in (without, with_blueprints))
        print(f"| {Path(file).stem} | {least * 1000:.0f} ms | {most * 1000:.0f} ms | {most / least:.1f} |")


def _folders(home: Path, target: Mapping[str, object], count: int) -> dict[str, str]:
    for name in ("blueprints", "targets"):
        (home / name).mkdir(parents=True)
    (home / "targets" / "production.json").write_text(json.dumps(target))
    for index in range(count):
        example = REPOSITORY / "include" / "blueprints" / "openai_embedding.yaml"
        shutil.copy(example, home / "blueprints" / f"model_{index:04}.yaml")
    return {f"AIRFLOW__OPENSEARCH_ML__{name.upper()}_FOLDER": str(home / name) for name in ("blueprints", "targets")}


def _parsed(home: Path, folders: dict[str, str]) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        **folders,
    }
    files = json.dumps([str(path) for path in sorted(DAGS.glob("*.py"))])
    command = [sys.executable, "-c", PARSE, files]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=True)
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return took


if __name__ == "__main__":
    main()
