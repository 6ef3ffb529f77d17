"""What a connector's role must be allowed, told from what the connector calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Permission:
    """One action that is needed.

    :param resources: ARNs; ``*`` only where the service knows nothing finer.
    :param condition: under which it is enough to be allowed, as a policy's ``Condition``.
    """

    action: str
    resources: tuple[str, ...]
    condition: Mapping[str, Any] | None = None
