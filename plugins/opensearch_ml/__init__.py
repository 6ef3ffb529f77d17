"""Connect OpenSearch to remote AI models from Airflow, declaratively, and keep that connection alive.

The pure core (no Airflow, no network): `blueprint`, `targets`, `placeholders`, `trusted_endpoints`, `canonical`,
`fingerprint`, `answer`, `states`. `hook` talks to the cluster, `steps` make it agree with a blueprint, and `operators`,
`sensors`, `triggers` and `links` are how Airflow runs the steps.
"""

from __future__ import annotations

OWNER = "opensearch_ml"
"""The name that everything we make in a cluster carries; only what carries it is ever deleted."""
