"""A cluster's whole fleet: what its target wants, what stands there, and what would change.

`look` reads the cluster in a few searches whatever the number of models, `desired` reads the blueprints of a target,
`plan` holds one against the other as a pure function, and `shown` tells the outcome to people. A plan is a value
(`changes`), `limits` says when it is too much, `adoption` how a model that others made becomes ours without a write
that its callers notice. `others` writes blueprints of what these made (`written`, field by field, with a smoke test
that is a `smoke_guess`). `serving` asks the sources whether credentials still serve, each once; `masking` keeps secrets
out of what is told. None of these writes to a cluster.

`approved` says what of a plan may be done, small enough for an XCom; `apply` does it, a stage at a time: `deciding`
holds the approval against the plan of that moment, `making` makes many models at once, `doing` mends everything else
by the steps of the other DAGs, `pruning` deletes. `applied` is what became of it.
"""

from __future__ import annotations
