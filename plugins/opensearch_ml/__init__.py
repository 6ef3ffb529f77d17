"""Connect OpenSearch to remote AI models from Airflow, declaratively, and keep that connection alive.

The pure core (no Airflow, no network): `documents` and `catalog` read files, `blueprint` and `targets` are what they
hold, `checks`, `literal_secrets`, `placeholders`, `trusted_endpoints` and `versions` say what is wrong with it,
`canonical` and `fingerprint` compare it with what a server holds, `answer` and `states` judge what a server says.

`hook` (with `connection`, `translate` and `retries`) talks to the cluster, `steps` make it agree with a blueprint, and
`operators`, `sensors`, `triggers` and `links` are how Airflow runs the steps.
"""

from __future__ import annotations

OWNER = "opensearch_ml"
"""The name that everything we make in a cluster carries; only what carries it is ever deleted."""
