"""``python -m opensearch_ml``."""

from __future__ import annotations

import sys

from opensearch_ml.cli import main

sys.exit(main())
