"""Connect OpenSearch to remote AI models from Airflow, declaratively, and keep that connection alive.

The pure core (no Airflow, no network): `documents` and `catalog` read files, `blueprint` and `targets` are what they
hold, `checks`, `literal_secrets`, `placeholders`, `trusted_endpoints` and `versions` say what is wrong with it (also
with what is `malformed`), `canonical` and `fingerprint` compare it with what a server holds, `answer` and `states`
judge what a server says. `bodies` are the requests' own. `cli` is the command line: `stand_ins` let it check without a
target, `schema` is for editors, and `importer` (with `documentation` and `blueprint_yaml`) makes blueprints of
documentation pages.

Of AWS, as pure: `arns` takes names apart, `permissions` tells from a connector what its role must be allowed,
`iam_role` is that role for one domain, `policies` and `policy_evaluation` make, compare, merge and decide its
documents, `grants` and `iam_commands` are what people copy, `aws_checks` says what is wrong with a blueprint for AWS.

`hook` (with `connection`, `transport`, `translate` and `retries`) talks to the cluster, `aws` (with `aws_errors`) to
AWS by one Airflow connection, `domain` describes a domain of Amazon OpenSearch Service, and `translate_aws` reads
refusals in both. `steps` make cluster and role agree with a blueprint, see beforehand what would go wrong
(`steps.preflight`) and find out why something was refused (`steps.explain`). `rotation` brings new credentials and
definitions to models under traffic, and `fleet` holds a whole cluster against its target. `operators`, `sensors`,
`triggers`, `links` and `notifications` are how Airflow runs all of it.
"""

from __future__ import annotations

OWNER = "opensearch_ml"
"""The name that everything we make in a cluster carries; only what carries it is ever deleted."""
