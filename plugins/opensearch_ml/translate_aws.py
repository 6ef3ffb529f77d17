"""What AWS says when it refuses, in the answers of a domain and in those of its other services alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from opensearch_ml import errors
from opensearch_ml.errors import OpenSearchMLError

ANONYMOUS = "anonymous"

_REFUSED = re.compile(
    r"User: (?P<principal>\S+) is not authorized to perform: (?P<action>[A-Za-z0-9-]+:[A-Za-z0-9*]+)"
    r"(?: on resource: (?P<resource>.+?))?"
    r"(?=\s+(?:because|with an explicit deny)\b|[\"'\\\n,;)}]|\.?\s*$|\.\s)(?P<rest>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """Who may not do what.

    :param principal: ARN of the user or of the role's session; ``anonymous`` for a request that is not signed.
    :param action: such as ``iam:PassRole``.
    :param resource: an ARN, as a rule; None if the service does not name it.
    :param explicit_deny: a policy denies it, so that allowing it elsewhere does not help.
    """

    principal: str
    action: str
    resource: str | None
    explicit_deny: bool

    @property
    def fix(self) -> str:
        """The change that lets it through."""
        where = f" on {self.resource}" if self.resource else ""
        if self.explicit_deny:
            return (
                f"a policy denies {self.action}{where} to {self.principal} in as many words: correct that statement, "
                "allowing it elsewhere does not help"
            )
        return f"allow {self.action}{where} to {self.principal}"

    def __str__(self) -> str:
        return f"{self.principal} may not {self.action}" + (f" on {self.resource}" if self.resource else "")


class Meaning(NamedTuple):
    """What a refusal means."""

    error: type[OpenSearchMLError]
    cause: str
    fix: str


class _Signature(NamedTuple):
    words: tuple[str, ...]
    meaning: Meaning


# Of codes and of messages: the domain sends the message alone. The first that fits counts.
_SIGNATURES = (
    _Signature(
        ("Signature expired", "Signature not yet current", "RequestExpired", "RequestTimeTooSkewed"),
        Meaning(
            errors.AuthenticationFailed,
            "the clock of Airflow's worker is wrong",
            "set the worker's clock (NTP): AWS takes a signature for five minutes only",
        ),
    ),
    _Signature(
        ("security token included in the request is expired", "ExpiredToken", "provided token has expired"),
        Meaning(
            errors.CredentialsExpired,
            "the session's keys of {aws} have expired",
            "give {aws} a role_arn, or keys that do not expire; a pasted aws_session_token must be renewed by hand",
        ),
    ),
    _Signature(
        ("security token included in the request is invalid", "InvalidClientTokenId", "UnrecognizedClientException"),
        Meaning(
            errors.AuthenticationFailed,
            "AWS does not know the access key of {aws}",
            "correct the access key of {aws}: it is deleted, inactive or mistyped, or, being a session's, lacks its "
            "aws_session_token",
        ),
    ),
    _Signature(
        ("Credential should be scoped to a valid region",),
        Meaning(
            errors.AuthenticationFailed,
            "the request is signed for another region than the domain's",
            "correct domain_arn, or region_name, in the extra of connection {conn}",
        ),
    ),
    _Signature(
        ("Credential should be scoped to correct service", "Credential should be scoped to the correct service"),
        Meaning(
            errors.AuthenticationFailed,
            "the host is one of another AWS service",
            "set the host of connection {conn} to the domain's own endpoint (not that of a serverless collection)",
        ),
    ),
    _Signature(
        ("request signature we calculated does not match", "SignatureDoesNotMatch", "InvalidSignatureException"),
        Meaning(
            errors.AuthenticationFailed,
            "AWS computes another signature",
            "correct the secret key of {aws}; if it is right, something between Airflow and AWS changes the requests",
        ),
    ),
    _Signature(
        (
            "User: anonymous is not authorized",
            "Missing Authentication Token",
            "MissingAuthenticationToken",
            "Authorization header requires",
            "in Authorization header",
            "IncompleteSignature",
        ),
        Meaning(
            errors.AuthenticationFailed,
            "the request is not signed",
            'the domain takes no login: remove it, and write "aws_conn_id" and "domain_arn" into the extra of '
            "connection {conn}",
        ),
    ),
)


def refused_action(words: str) -> RefusedAction | None:
    """Return who may not do what, or None if these words tell of nothing like it.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    if (found := _REFUSED.search(words)) is None:
        return None
    # Up to the end of this sentence; what follows may be another service's.
    explicit = re.match(r"\s+with an explicit deny\b", found["rest"]) is not None
    return RefusedAction(found["principal"], found["action"], found["resource"], explicit)


def refused_signature(words: str, *, conn_id: str, aws_conn_id: str | None) -> Meaning | None:
    """Return what is wrong with a request's signature, or None if these words do not tell of one.

    :param words: the service's code and message, or its message.
    :param conn_id: the connection whose address and region were used, named in the fix.
    :param aws_conn_id: the AWS connection whose keys signed.
    """
    aws = f"connection {aws_conn_id}" if aws_conn_id else "the AWS connection"
    for signature in _SIGNATURES:
        if any(word in words for word in signature.words):
            error, cause, fix = signature.meaning
            return Meaning(error, cause.replace("{aws}", aws), fix.replace("{aws}", aws).replace("{conn}", conn_id))
    return None
