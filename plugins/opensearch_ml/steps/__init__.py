"""The steps: each looks, compares, writes only what differs, and returns what it changed (`base.outcome.Changed`).

A step may be called again at any time, also after a crash or a lost answer, and by several runs at once.
`preflight` and `preflight_aws` find beforehand what would go wrong, and `explain` finds why a request was refused.
`once` creates exactly one of each object.
"""
