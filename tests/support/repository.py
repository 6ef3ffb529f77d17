"""Where this repository lies."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BLUEPRINTS = REPOSITORY / "include" / "blueprints"  # the catalog
