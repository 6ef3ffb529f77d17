"""The owner's name: the label of everything that this project makes in a cluster or an account."""

from __future__ import annotations

OWNER = "opensearch_ml"
"""Only what carries this name, or was adopted, is ever changed or deleted."""
