"""Amazon Resource Names: what they say, taken apart and put together again.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html and, for the partitions, botocore's
``data/partitions.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# Partition: what its regions begin with, and the end of its hosts' names. The first that fits a region is right.
PARTITIONS = {
    "aws-cn": ("cn-", "amazonaws.com.cn"),
    "aws-us-gov": ("us-gov-", "amazonaws.com"),
    "aws-iso": ("us-iso-", "c2s.ic.gov"),
    "aws-iso-b": ("us-isob-", "sc2s.sgov.gov"),
    "aws-iso-e": ("eu-isoe-", "cloud.adc-e.uk"),
    "aws-iso-f": ("us-isof-", "csp.hci.ic.gov"),
    "aws-eusc": ("eusc-", "amazonaws.eu"),
    "aws": ("", "amazonaws.com"),
}
ACCOUNT_ID = r"\d{12}"
DOMAIN_NAME = r"[a-z][a-z0-9-]{2,27}"
OPENSEARCH_SERVICE = "opensearchservice.amazonaws.com"  # its principal in IAM; older domains: es.amazonaws.com
ARN = rf"arn:(?:{'|'.join(PARTITIONS)})"
ROLE_ARN = ARN + r":iam::\d{12}:role/(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,64}"
DOMAIN_FORM = "arn:aws:es:REGION:ACCOUNT:domain/NAME"
DOMAIN_VARIABLES = ("region", "account_id", "partition", "dns_suffix", "domain_name")


@dataclass(frozen=True, slots=True)
class Arn:
    """``arn:partition:service:region:account_id:resource``; region and account may be empty."""

    partition: str
    service: str
    region: str
    account_id: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Take an ARN apart.

        :raises ValueError: it is none; the message says what is missing, without the text.
        """
        parts = text.split(":", 5)
        if len(parts) < 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
            raise ValueError("is no ARN: it has the form arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE")
        if parts[1] not in PARTITIONS:
            raise ValueError(f"is an ARN of no known partition ({', '.join(sorted(PARTITIONS))})")
        return cls(*parts[1:])

    def __str__(self) -> str:
        return ":".join(("arn", self.partition, self.service, self.region, self.account_id, self.resource))


@dataclass(frozen=True, slots=True)
class DomainArn:
    """The ARN of one domain of Amazon OpenSearch Service."""

    partition: str
    region: str
    account_id: str
    name: str

    @classmethod
    def parse(cls, text: str) -> DomainArn:
        """Take a domain's ARN apart.

        :raises ValueError: it is none; the message says why, without the text.
        """
        arn = Arn.parse(text.strip())
        if arn.service == "aoss":
            raise ValueError("is the ARN of a serverless collection, which has no ML connectors; a domain's is needed")
        kind, _, name = arn.resource.partition("/")
        if arn.service != "es" or kind != "domain":
            raise ValueError(f"is the ARN of something else; a domain's has the form {DOMAIN_FORM}")
        if not re.fullmatch(ACCOUNT_ID, arn.account_id):
            raise ValueError("has an account that is not twelve digits")
        if not arn.region or partition_of(arn.region) != arn.partition:
            raise ValueError(f"has a region that is not one of partition {arn.partition}")
        if not re.fullmatch(DOMAIN_NAME, name):
            raise ValueError("has a domain name that is none: 3 to 28 lower-case letters, digits and hyphens")
        return cls(arn.partition, arn.region, arn.account_id, name)

    @property
    def dns_suffix(self) -> str:
        """The end of the partition's host names, for instance ``amazonaws.com.cn``."""
        return PARTITIONS[self.partition][1]

    def variables(self) -> dict[str, str]:
        """Return the values of the variables that a blueprint gets from its domain."""
        values = (self.region, self.account_id, self.partition, self.dns_suffix, self.name)
        return dict(zip(DOMAIN_VARIABLES, values, strict=True))

    def __str__(self) -> str:
        return f"arn:{self.partition}:es:{self.region}:{self.account_id}:domain/{self.name}"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom permissions are given to.

    :param name: of the user or role, without its path; the session's name of a federated user; ``root``.
    """

    kind: Literal["user", "role", "root", "federated-user"]
    account_id: str
    name: str
    partition: str = "aws"

    @property
    def arn(self) -> str:
        """The ARN that permissions go to. A path is not in it: what a session tells of its role has none."""
        if self.kind == "federated-user":
            return f"arn:{self.partition}:sts::{self.account_id}:federated-user/{self.name}"
        resource = "root" if self.kind == "root" else f"{self.kind}/{self.name}"
        return f"arn:{self.partition}:iam::{self.account_id}:{resource}"


def principal_of(caller_arn: str) -> Principal:
    """Return who stands behind a caller's ARN: for an assumed role's session the role, for a user the user.

    :param caller_arn: as ``sts:GetCallerIdentity`` gives it, or a role's or user's own ARN.
    :raises ValueError: it is not the ARN of a caller.
    """
    arn = Arn.parse(caller_arn)
    kind, _, rest = arn.resource.partition("/")
    if (arn.service, kind) == ("sts", "assumed-role"):
        return Principal("role", arn.account_id, rest.partition("/")[0], arn.partition)
    if (arn.service, kind) == ("sts", "federated-user"):
        return Principal("federated-user", arn.account_id, rest, arn.partition)
    if (arn.service, kind) == ("iam", "root"):
        return Principal("root", arn.account_id, "root", arn.partition)
    if arn.service == "iam" and rest and (kind == "user" or kind == "role"):
        return Principal("user" if kind == "user" else "role", arn.account_id, rest.rpartition("/")[2], arn.partition)
    raise ValueError("is not the ARN of a user, a role, a role's session or an account's root")


def partition_of(region: str) -> str:
    """Return the partition that a region belongs to, for instance ``aws-cn``."""
    return next(name for name, (prefix, _) in PARTITIONS.items() if region.startswith(prefix))
