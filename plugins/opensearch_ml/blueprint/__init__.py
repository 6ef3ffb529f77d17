"""The blueprint and the target as documents.

`models` has the blueprint (with `registration`, `rotation`, `expectation` and `fields`), `target` the target. `loader`
reads a file, `writer` writes one, `findings` say what is wrong in it. `placeholders` and `trusted_endpoints` are the
rules of what is written inside.
"""
