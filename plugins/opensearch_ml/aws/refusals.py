"""What AWS says when it refuses, in the answers of a domain and in those of its other services alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from opensearch_ml import errors
from opensearch_ml.errors import OpenSearchMLError

ANONYMOUS = "anonymous"
PASS_ROLE = "iam:PassRole"  # noqa: S105 an action
REMOTE = (
    "Error from remote service",
    "Remote service returned error status",
)  # what follows, the model's platform said

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
        ("Credential should be scoped to a valid",),
        Meaning(
            errors.AuthenticationFailed,
            "the request is signed for another region than the domain's",
            "correct domain_arn, or region_name, in the extra of connection {conn}",
        ),
    ),
    _Signature(
        ("scoped to correct service", "scoped to the correct service"),
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
            'write "aws_conn_id" and "domain_arn" into the extra of connection {conn}, and no Login; a Login is for a '
            "domain with an internal user database",
        ),
    ),
)


def meaning(status: int, words: str, *, conn_id: str, aws_conn_id: str | None) -> Meaning | None:
    """Return what an answer means, where it is AWS that speaks, as the domain or as the model's platform.

    :param status: HTTP status.
    :param words: what the answer says.
    :param conn_id: the connection to the cluster.
    :param aws_conn_id: the AWS connection whose keys signed the request, if it was signed.
    """
    if any(word in words for word in REMOTE):
        return _of_the_model(words)
    refused = refused_action(words)
    if refused and (refused.principal, refused.action) == (ANONYMOUS, PASS_ROLE):
        return Meaning(
            errors.PermissionDenied,
            "an internal user of the domain cannot pass the connector's role: only a signed request can",
            f'write "aws_conn_id" and "domain_arn" into the extra of connection {conn_id}, and no Login',
        )
    if status in (400, 401, 403) and (found := refused_signature(words, conn_id=conn_id, aws_conn_id=aws_conn_id)):
        return found
    if refused:
        return _of_the_domain(refused)
    if "Cross-account pass role is not allowed" in words:
        return Meaning(
            errors.PermissionDenied,
            "the connector's role is in another account than the domain or the caller",
            "use a role, and an AWS connection, of the domain's own account; that role may then assume the other "
            "account's: connector.credential.externalAccountRoleArn",
        )
    if status == 401 and "Your request: '" in words and "not allowed" in words:
        return Meaning(
            errors.RequestRefused,
            "Amazon OpenSearch Service does not offer this request, or a setting in it",
            "leave out what its words name: the service itself decides it",
        )
    if status == 400 and "Missing credential" in words:
        return Meaning(
            errors.RequestRefused,
            "the cluster takes no roleArn: it is no domain of Amazon OpenSearch Service",
            "give access_key, secret_key and, for temporary keys, session_token as references in connector.credential",
        )
    return None


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


def _of_the_model(words: str) -> Meaning | None:
    if refused := refused_action(words):
        return Meaning(
            errors.RemoteModelRefused,
            f"the model's platform refuses the connector's identity: {refused}",
            f"{refused.fix} (the permission policy of the role or user that the connector signs with)",
        )
    if "security token included in the request is expired" in words:
        return Meaning(
            errors.RemoteModelRefused,
            "the connector's session keys have expired",
            "provision again with new keys, or with keys that do not expire; a domain renews those of a roleArn itself",
        )
    return None


def _of_the_domain(refused: RefusedAction) -> Meaning:
    cause, fix = str(refused), refused.fix
    if refused.action == PASS_ROLE:
        cause = f"{refused.principal} may not pass the connector's role to Amazon OpenSearch Service"
        fix = f"{fix} (condition iam:PassedToService: opensearchservice.amazonaws.com)"
    elif refused.action == "sts:AssumeRole" and refused.principal.startswith("arn:"):
        cause = f"the connector's role may not assume the other account's role: {refused}"
        fix = f"{fix} (its permission policy), and let the trust policy of {refused.resource} name it as a principal"
    elif refused.action == "sts:AssumeRole":
        cause = f"Amazon OpenSearch Service may not assume the connector's role {refused.resource or ''}".rstrip()
        fix = (
            "let the role's trust policy allow sts:AssumeRole to opensearchservice.amazonaws.com, with the domain's "
            "account as aws:SourceAccount and its ARN as aws:SourceArn"
        )
    elif refused.action.startswith("es:"):
        fix = f"{fix} (its identity policy, or the domain's access policy)"
    return Meaning(errors.PermissionDenied, cause, fix)
