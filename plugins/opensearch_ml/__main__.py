"""``python -m opensearch_ml``."""

from __future__ import annotations

import sys

try:
    from opensearch_ml.cli import main
except ModuleNotFoundError as error:
    if error.name not in ("pydantic", "yaml"):
        raise
    print(
        f"python -m opensearch_ml: {sys.executable} lacks {'PyYAML' if error.name == 'yaml' else error.name}; "
        "run `pip install .` in the repository, or use .venv/bin/python, which `make venv` installs",
        file=sys.stderr,
    )
    sys.exit(2)

sys.exit(main())
