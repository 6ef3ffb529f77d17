"""Blueprints made of what exists.

`from_docs` makes them of documentation, which `docs` reads. `from_cluster` makes them of unmanaged connectors and
models, by `to_blueprint` field by field, with a `smoke_test` that is a guess.
"""
