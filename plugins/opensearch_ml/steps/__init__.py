"""The steps: each looks, compares, writes only what differs, and returns what it changed (`base.outcome.Changed`).

`preflight` and `preflight_aws` find beforehand what would go wrong, and `explain` finds why a request was refused.
"""
