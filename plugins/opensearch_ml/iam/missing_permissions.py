"""Refusals of AWS, told with the statements to copy: all that a caller needs for a purpose, not the one call's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.aws.refusals import refused_action
from opensearch_ml.base.arns import Principal, principal_of
from opensearch_ml.errors import OpenSearchMLError, PermissionDenied
from opensearch_ml.iam import grants


@contextmanager
def telling_what_to_allow(
    access: AwsAccess, needed: Callable[[Principal], Mapping[str, Any]], *, besides: str = ""
) -> Iterator[None]:
    """Complete a refusal by what mends it.

    :param needed: returns the statement of all that the caller of `access` needs for what is being done.
    :param besides: what else may be missing, in words.
    :raises PermissionDenied: AWS refused; an explicit deny is told as it is, because nothing that is added mends it.
    """
    try:
        yield
    except PermissionDenied as refusal:
        refused = refused_action(refusal.evidence)
        if refused and refused.explicit_deny:
            raise
        try:
            caller = principal_of(access.caller())
        except (OpenSearchMLError, ValueError):
            raise refusal from None  # who was refused cannot be told, but why can
        fix = grants.how_to_allow(caller, [needed(caller)])
        raise PermissionDenied(
            refusal.cause, evidence=refusal.evidence, fix=f"{fix}; {besides}" if besides else fix
        ) from None
