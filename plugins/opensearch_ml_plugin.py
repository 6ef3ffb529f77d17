"""What Airflow's API server has to know: the links that our operators show."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from opensearch_ml.links import OpenSearchConnectorLink, OpenSearchIamRoleLink, OpenSearchModelLink


class OpenSearchMLPlugin(AirflowPlugin):
    """Registers the operators' extra links."""

    name = "opensearch_ml"
    operator_extra_links = [  # noqa: RUF012 (Airflow's convention)
        OpenSearchConnectorLink(),
        OpenSearchModelLink(),
        OpenSearchIamRoleLink(),
    ]
