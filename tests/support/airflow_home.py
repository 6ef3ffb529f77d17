"""The AIRFLOW_HOME of this process, set before Airflow is imported, which reads it at that moment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.support.repository import REPOSITORY

if "OPENSEARCH_ML_TESTS" not in os.environ:
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ.update(
        OPENSEARCH_ML_TESTS="running",
        AIRFLOW_HOME=tempfile.mkdtemp(prefix="opensearch-ml-airflow-"),
        AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(REPOSITORY / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    os.environ["AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER"] = str(Path(os.environ["AIRFLOW_HOME"], "targets"))
    Path(os.environ["AIRFLOW_HOME"], "targets").mkdir()

AIRFLOW_HOME = Path(os.environ["AIRFLOW_HOME"])
