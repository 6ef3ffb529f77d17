"""Operators: one step each, idempotent, usable on its own in anybody's DAG."""

from __future__ import annotations
