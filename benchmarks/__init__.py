"""Benchmarks: each prints a Markdown table of ratios within one run. They import the product from its folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))  # as Airflow does with its plugins folder
