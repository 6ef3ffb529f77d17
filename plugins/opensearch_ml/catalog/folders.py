"""Where this Airflow keeps blueprints and targets.

Two options of Airflow's configuration, section ``[opensearch_ml]``: ``blueprints_folder`` and ``targets_folder`` (as
environment variables ``AIRFLOW__OPENSEARCH_ML__BLUEPRINTS_FOLDER`` and ``AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER``).
Default: ``include/blueprints`` and ``include/targets`` beside the folder that this plugin lies in.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk.configuration import conf

from opensearch_ml.catalog.catalog import Catalog

__all__ = ["catalog"]

INCLUDE = Path(__file__).resolve().parents[3] / "include"


def catalog() -> Catalog:
    """Return the catalog of this Airflow."""
    return Catalog(_folder("blueprints"), _folder("targets"))


def _folder(name: str) -> Path:
    return Path(conf.get("opensearch_ml", f"{name}_folder", fallback=None) or INCLUDE / name)
