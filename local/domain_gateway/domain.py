"""The domain that the gateway stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ARN = re.compile(r"arn:(aws[\w-]*):es:([\w-]+):(\d{12}):domain/([a-z][a-z0-9-]{2,27})")


@dataclass(frozen=True)
class Domain:
    """A domain of Amazon OpenSearch Service, by its ARN."""

    partition: str
    region: str
    account_id: str
    name: str

    @classmethod
    def parse(cls, arn: str) -> Domain:
        """:raises ValueError: it is no domain's ARN."""
        if not (match := _ARN.fullmatch(arn)):
            raise ValueError(f"{arn!r} is no domain's ARN: write it as arn:aws:es:REGION:ACCOUNT:domain/NAME")
        return cls(*match.groups())

    def __str__(self) -> str:
        return f"arn:{self.partition}:es:{self.region}:{self.account_id}:domain/{self.name}"
