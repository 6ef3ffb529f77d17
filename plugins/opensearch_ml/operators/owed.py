"""The models of which an event is owed: from the approval of their plan until somebody has told of them.

A run that dies before it tells leaves models that stand as they should: no later plan finds them, and whoever is
scheduled on them would wait for ever. So what is owed outlives the run, and the next one that applies tells of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from airflow.sdk.execution_time.context import AssetStateStoreAccessor

from opensearch_ml import assets

OWED = "opensearch_ml_owed"


class Owed:
    """What is owed of one target's models: their blueprints' names, which Airflow keeps with the target's asset.

    Read once: nobody else writes meanwhile, as there is one run at a time, and in it one such task after the other.

    :param target: its name. Some task of an active DAG has its asset among its inlets, or Airflow keeps nothing.
    """

    def __init__(self, target: str) -> None:
        self._store = AssetStateStoreAccessor(name=assets.fleet_of(target).name)
        self.names: frozenset[str] = frozenset(cast(Any, self._store.get(OWED, [])))

    def add(self, names: Iterable[str]) -> None:
        """Put down what is about to be changed."""
        self._keep(self.names.union(names))

    def settle(self, names: Iterable[str]) -> None:
        """Strike out what was told, or is no news."""
        self._keep(self.names.difference(names))

    def _keep(self, names: frozenset[str]) -> None:
        if names != self.names:
            self._store.set(OWED, cast(Any, sorted(names)))
            self.names = names
