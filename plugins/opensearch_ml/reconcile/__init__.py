"""Reconcile everything that a target names: plan, approve, apply.

Plan: `desired` reads the blueprints of a target, `resources.read` reads the cluster in a few searches whatever the
number of models, and `plan` compares both as a pure function (`diff_blueprint` and `missing` for one blueprint,
`diff_settings` for the cluster). `planning` does all of this for the command line and the DAG; `credential_cache` asks
each credential source once. `limits` says when a plan is too large, `render` shows it.

Approve: `approval` is the part of a plan that may be applied, small enough for an XCom: hashes, never a value.

Apply: `apply` runs one stage with an `apply_context`. `staleness` compares the approval with the plan of that moment,
`bulk_create` creates many models at once, `actions` does every other kind of change with the steps of the other DAGs,
`pruning` deletes, and `concurrency` limits how many run at once. `results` holds the outcome, `report` shows it.
"""
