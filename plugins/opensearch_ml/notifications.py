"""Who is told that a rotation failed, or that a credential is about to end: Airflow notifiers of the user's own.

The option ``notifiers`` of section ``[opensearch_ml]`` (environment: ``AIRFLOW__OPENSEARCH_ML__NOTIFIERS``) names one
notifier, a list of them, or a function that takes the context, by its import path: ``company.alerts.NOTIFIERS``. Their
templates find ``{{ rotation.subject }}`` and ``{{ rotation.text }}``. Without the option, the log alone tells.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.configuration import conf
from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]  # re-exported without __all__

__all__ = ["OpenSearchMLNotifier"]

log = logging.getLogger(__name__)

SECTION, OPTION = "opensearch_ml", "notifiers"


class OpenSearchMLNotifier(BaseNotifier):
    """Hand what happened to the notifiers that the configuration names.

    As ``on_failure_callback`` of a task it tells the error that ended it.
    """

    def notify(self, context: Any) -> None:
        """Tell of a task that failed."""
        task = context.get("task_instance")
        subject = f"{getattr(task, 'dag_id', 'a DAG')} failed in task {getattr(task, 'task_id', '')}"
        tell(context, subject, str(context.get("exception") or "it ended without a word: read the task's log"))


def tell(context: Mapping[str, Any], subject: str, text: str) -> None:
    """Hand a message to every notifier; one that fails is logged, and keeps no other from being told.

    :param text: may be several lines; holds no secret.
    """
    notifiers = _notifiers()
    log.warning("%s\n%s", subject, text)
    told = {**context, "rotation": {"subject": subject, "text": text}}
    for notifier in notifiers:
        try:
            # Rendering its templates changes a notifier for good.
            copy.copy(notifier)(dict(told))
        except Exception:
            log.exception("notifier %r could not tell of: %s", notifier, subject)


def _notifiers() -> list[Any]:
    path = conf.get(SECTION, OPTION, fallback=None)
    if not path:
        return []
    try:
        found = import_string(path)
    except ImportError:
        log.exception("[%s] %s names %s, which cannot be imported", SECTION, OPTION, path)
        return []
    return list(found) if isinstance(found, (list, tuple)) else [found]
