"""Stacks with a domain of their own: an AWS account, a gateway before the cluster, model endpoints and Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from local.domain_stack import DomainStack
from tests.support.scheduler_runs import PARSED_ONCE

TITAN = "opensearch_titan"  # the same domain as a second target, because Titan knows other dimensions than SageMaker's


@contextmanager
def running(stack: DomainStack) -> Iterator[None]:
    """Start a stack that logs everything, and end it with all that it made."""
    stack.opensearch.heap = "512m"
    stack.environment |= {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG", **PARSED_ONCE}
    try:
        stack.up()
        yield
    finally:
        stack.reset()


def local_target(stack: DomainStack) -> dict[str, Any]:
    """What the stack's own target says; its variables name the model endpoints of this machine."""
    target: dict[str, Any] = yaml.safe_load((stack.folder / "targets" / "local.yaml").read_text())
    return target
