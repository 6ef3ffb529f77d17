"""Rotate: a new credential, or a new definition, comes to serve without a lost predict.

`sources` has the credential sources. `read_state` reads what the cluster holds for a blueprint, and
`resources.rotation_state` derives, as a pure function, what a run does next. `swap` does it: `candidate` creates and
tests a connector beside production, `switch` points the model to it and back, `prove` waits until every node serves
it. `lease` lets one run at a time rotate a model, `run` is one such run, `record` its evidence, and `failures` are its
errors.

For all models of a target: `selection` finds those that are due, `schedule` says when, `summary` reports.
"""
