"""The name under which DAG files of 0.1.0 import the catalog; `catalog.folders` has it."""

from __future__ import annotations

from opensearch_ml.catalog.folders import catalog

__all__ = ["catalog"]
