"""What all our operators share: the hook, the blueprint, and how an error ends the task."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from opensearch_ml.aws.access import DEFAULT_CONNECTION
from opensearch_ml.base.outcome import Changed
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import folders
from opensearch_ml.credentials import resolver
from opensearch_ml.credentials.supply import Supply
from opensearch_ml.errors import Final, Unreachable
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.retries import until_effective
from opensearch_ml.rotation.sources import supply_for
from opensearch_ml.steps.explain import explain

__all__ = [
    "OpenSearchMLAdminOperator",
    "OpenSearchMLBaseOperator",
    "OpenSearchMLBlueprintOperator",
    "OpenSearchMLCredentialOperator",
]

F = TypeVar("F", bound=Callable[..., Any])

EFFECTIVE_S = 60.0  # what is written in IAM takes seconds, seldom a minute, until AWS goes by it


def fail_fast(execute: F) -> F:
    """Let a `Final` error end the task at once: a retry would only repeat it. A `Transient` one is retried as usual.

    A refusal is explained first. What turns out to be IAM's delay is waited for here: every execute may be repeated. A
    task with a ``wait_s`` of its own waits no longer than that.
    """

    @functools.wraps(execute)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        def attempt() -> Any:
            try:
                return execute(self, *args, **kwargs)
            except (Final, Unreachable) as error:
                # Most requests are the acting hook's; what that one cannot explain, the caller's may.
                raise explain(explain(error, self.acting_hook), self.hook) from None

        try:
            return until_effective(attempt, timeout_s=getattr(self, "wait_s", EFFECTIVE_S))
        except Final as error:
            # Said once in full; a chained traceback would bury cause, evidence and fix.
            raise AirflowFailException(str(error)) from None

    return wrapper  # type: ignore[return-value]


def what_is_next(operator: BaseOperator) -> str:
    """Return the tasks that follow, for the log."""
    following = operator.downstream_task_ids
    # Of a chain of followers, which all wait for our result, only the first is next.
    later = {task for first in following for task in operator.dag.get_task(first).downstream_task_ids}
    return ", ".join(sorted(following - later)) or "nothing, this is the end"


class OpenSearchMLBaseOperator(BaseOperator):
    """Base of our operators.

    :param opensearch_conn_id: connection of type ``opensearch`` (templated).
    """

    template_fields: Sequence[str] = ("opensearch_conn_id",)
    ui_color = "#b9d9eb"

    def __init__(self, *, opensearch_conn_id: str = OpenSearchMLHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.opensearch_conn_id = opensearch_conn_id

    @cached_property
    def hook(self) -> OpenSearchMLHook:
        """The hook for the connection."""
        return OpenSearchMLHook(self.opensearch_conn_id)

    @property
    def acting_hook(self) -> OpenSearchMLHook:
        """The hook whose requests this operator is refused or not."""
        return self.hook

    @property
    def acts_by(self) -> str:
        """The connection that does the work, for the log."""
        return self.acting_hook.opensearch_conn_id

    def tell(self, outcome: Changed | str) -> None:
        """Log what was done, to what, by which connection, and what comes next."""
        self.log.info("%s (connection %s); next: %s", outcome, self.acts_by, what_is_next(self))

    def redact(self, text: str) -> str:
        """Return a text without the secrets that the hook knows."""
        return self.hook.redact(text)


class OpenSearchMLBlueprintOperator(OpenSearchMLBaseOperator):
    """Base of the operators that work on a blueprint.

    :param blueprint: the blueprint's name: its file's stem (templated).
    """

    template_fields: Sequence[str] = ("blueprint", *OpenSearchMLBaseOperator.template_fields)

    def __init__(self, *, blueprint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blueprint = blueprint

    def load(self) -> Blueprint:
        """Read and check the blueprint, its variables filled for this cluster's domain and target."""
        return folders.catalog().blueprint(
            self.blueprint, opensearch_conn_id=self.opensearch_conn_id, domain_arn=self.hook.domain_arn
        )


class OpenSearchMLCredentialOperator(OpenSearchMLBlueprintOperator):
    """Base of the operators that need a blueprint's credential.

    :param aws_conn_id: connection of type ``aws`` of who reads AWS Secrets Manager, makes access keys or assumes the
        role, where the blueprint says so (templated).
    """

    template_fields: Sequence[str] = ("aws_conn_id", *OpenSearchMLBlueprintOperator.template_fields)

    def __init__(self, *, aws_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id

    def credential(self, blueprint: Blueprint) -> dict[str, str]:
        """Resolve the blueprint's credential; every secret in it is masked from here on."""
        return resolver.resolve(blueprint, self.hook, aws_conn_id=self.aws_conn_id)

    def supply(self, blueprint: Blueprint) -> Supply | None:
        """Return what gives the credential where no references do."""
        return supply_for(blueprint, self.hook, self.aws_conn_id)


class OpenSearchMLAdminOperator(OpenSearchMLBaseOperator):
    """Base of the operators that write what all models of a cluster share, which takes more than ``ml_full_access``.

    :param opensearch_admin_conn_id: connection of who may write it; ``opensearch_conn_id`` if empty (templated).
    """

    template_fields: Sequence[str] = ("opensearch_admin_conn_id", *OpenSearchMLBaseOperator.template_fields)

    def __init__(self, *, opensearch_admin_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.opensearch_admin_conn_id = opensearch_admin_conn_id

    @cached_property
    def acting_hook(self) -> OpenSearchMLHook:
        """The hook of who may write."""
        if self.opensearch_admin_conn_id in (None, "", self.opensearch_conn_id):
            return self.hook
        return OpenSearchMLHook(str(self.opensearch_admin_conn_id))
