"""What can go wrong, and what to do about it.

    OpenSearchMLError
    ├── Transient                 the same call may succeed later
    │   ├── Unreachable           no answer: refused, no such host, time-out
    │   ├── ServerBusy            429, 502, 503, 504
    │   ├── Conflict              another writer was faster
    │   ├── RemoteModelBusy       the model's platform answered 429 or 5xx, or not in time
    │   └── NotYetEffective       IAM has the right documents, and AWS does not go by them yet
    └── Final                     the same call will fail again
        ├── InvalidBlueprint      also InvalidTarget: findings in a file, before any request
        │   └── NoSuchBlueprint   there is no such file
        ├── PreflightFailed       several of these at once, before the first write
        ├── InvalidConnection     the Airflow connection cannot be turned into an address
        ├── UnresolvedCredential  a reference that no connection or variable answers
        ├── TLSNotVerified        the cluster's certificate is not trusted
        ├── AuthenticationFailed  401
        │   └── CredentialsExpired  the session's keys are too old; such a request was not executed
        ├── PermissionDenied      403
        ├── NotFound              404
        ├── UntrustedEndpoint     the cluster does not trust the connector's URL
        ├── RequestRefused        any other 4xx or 5xx
        ├── InUse                 somebody still uses it
        ├── DeployFailed          the model cannot be deployed
        ├── RemoteModelRefused    the model's platform answered 4xx
        │   └── RemoteCredentialRefused  401 or 403: the key that the connector has
        ├── SmokeTestFailed       the model answers, but not what the blueprint expects
        ├── PlanTooLarge          more of a fleet would change, or be deleted, than the run may
        └── RotationFailed        a new credential or definition did not come to serve; says what serves

A retry rule names a class, never a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "AuthenticationFailed",
    "Conflict",
    "CredentialsExpired",
    "DeployFailed",
    "Final",
    "Finding",
    "InUse",
    "InvalidBlueprint",
    "InvalidConnection",
    "InvalidTarget",
    "NoSuchBlueprint",
    "NotFound",
    "NotYetEffective",
    "OpenSearchMLError",
    "PermissionDenied",
    "PlanTooLarge",
    "PreflightFailed",
    "RemoteCredentialRefused",
    "RemoteModelBusy",
    "RemoteModelRefused",
    "RequestRefused",
    "RotationFailed",
    "ServerBusy",
    "SmokeTestFailed",
    "TLSNotVerified",
    "Transient",
    "Unreachable",
    "UnresolvedCredential",
    "UntrustedEndpoint",
]


class OpenSearchMLError(Exception):
    """What happened, what shows it, what to do.

    :param cause: one sentence, without the server's words.
    :param evidence: what was seen: the server's own words, a file and field.
    :param fix: the exact change that mends it.
    """

    def __init__(self, cause: str, *, evidence: str, fix: str) -> None:
        super().__init__(cause, evidence, fix)
        self.cause, self.evidence, self.fix = cause, evidence, fix

    def __str__(self) -> str:
        return f"{self.cause}\n  evidence: {self.evidence}\n  fix: {self.fix}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders by pickle, whose default would pass the keywords by position.
        return _rebuild, (type(self), self.cause, self.evidence, self.fix)


class Transient(OpenSearchMLError):  # noqa: N818 (a retry rule reads: exception=Transient)
    """The same call may succeed later."""


class Unreachable(Transient):
    """No answer from the cluster."""


class ServerBusy(Transient):
    """The cluster, or what stands before it, asks to come back later."""


class Conflict(Transient):
    """Another writer was faster, or overwrote what we wrote."""


class RemoteModelBusy(Transient):
    """The model's platform is throttling, failing or slow."""


class NotYetEffective(Transient):
    """IAM holds what is needed, and AWS does not go by it yet: IAM takes its time to spread."""


class Final(OpenSearchMLError):  # noqa: N818
    """The same call will fail again until something is changed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a file.

    :param path: dotted path of the field, for instance ``connector.actions.0.url``.
    :param problem: what is wrong, without the value, which may be a secret.
    :param fix: what to write instead.
    :param line: the field's line in its file, counted from 1, or that of the nearest field around it.
    :param skips_checks: the file is malformed there, so that its further checks were skipped.
    """

    path: str
    problem: str
    fix: str
    line: int | None = None
    skips_checks: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        return f"{self.path or 'file'}: {self.problem}. {self.fix}"

    @property
    def where(self) -> str:
        """Line and path, as far as they are known: ``line 12, connector.name``."""
        return ", ".join([f"line {self.line}"] * (self.line is not None) + [self.path] * bool(self.path)) or "file"


def skipped_checks(findings: Iterable[Finding]) -> str:
    """Return a clause that says that further checks were skipped; empty if all were run."""
    skipped = any(finding.skips_checks for finding in findings)
    return "; further checks of a malformed file are skipped until it is mended" if skipped else ""


class _InvalidFile(Final):
    kind = "file"

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        self.source, self.findings = source, tuple(findings)
        count = len(self.findings)
        super().__init__(
            f"{self.kind} {source} has {count} {'finding' if count == 1 else 'findings'}; nothing was written"
            + skipped_checks(self.findings),
            evidence="; ".join(f"{f.where}: {f.problem}" for f in self.findings),
            fix=" ".join(dict.fromkeys(f.fix for f in self.findings)),
        )

    def __str__(self) -> str:
        if len(self.findings) == 1:
            return super().__str__()
        return _numbered(self.cause, [f"{f.where}: {f.problem}\nfix: {f.fix}" for f in self.findings])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.findings)


class InvalidBlueprint(_InvalidFile):
    """The blueprint is refused, with every finding in it."""

    kind = "blueprint"


class NoSuchBlueprint(InvalidBlueprint):
    """There is no blueprint of that name."""


class InvalidTarget(_InvalidFile):
    """The target is refused, with every finding in it."""

    kind = "target"


class PreflightFailed(Final):
    """Everything that would go wrong, in one report; nothing was written.

    :param name: the blueprint's name.
    :param problems: at least one, each with its own cause, evidence and fix.
    """

    def __init__(self, name: str, problems: Sequence[OpenSearchMLError]) -> None:
        self.name, self.problems = name, tuple(problems)
        super().__init__(
            f"preflight of {name} found {len(self.problems)} problems; nothing was written",
            evidence=" | ".join(problem.evidence for problem in self.problems),
            fix=" | ".join(problem.fix for problem in self.problems),
        )

    def __str__(self) -> str:
        return _numbered(self.cause, [str(problem) for problem in self.problems])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.problems)


class InvalidConnection(Final):
    """The Airflow connection cannot be turned into an address."""


class UnresolvedCredential(Final):
    """A credential reference that nothing answers."""


class TLSNotVerified(Final):
    """The cluster's certificate is not one that the connection trusts."""


class AuthenticationFailed(Final):
    """The cluster does not know the caller."""


class CredentialsExpired(AuthenticationFailed):
    """AWS no longer accepts the session's keys; the request was not executed, so it may be sent again with new ones."""


class PermissionDenied(Final):
    """The cluster knows the caller and refuses."""


class NotFound(Final):
    """The cluster has no such object."""


class UntrustedEndpoint(Final):
    """The connector's URL fits no entry of the cluster's trusted endpoints."""


class RequestRefused(Final):
    """The cluster refuses the request as it is."""


class InUse(Final):
    """Somebody still uses the object."""


class DeployFailed(Final):
    """The model did not become ready to predict."""


class RemoteModelRefused(Final):
    """The model's platform refuses the request as it is."""


class RemoteCredentialRefused(RemoteModelRefused):
    """The model's platform refuses the connector's credential."""


class SmokeTestFailed(Final):
    """The model answers, but not what the blueprint expects."""


class PlanTooLarge(Final):
    """More of a fleet would change, or be deleted, than the run may; nothing was written."""


class RotationFailed(Final):
    """The new credential or definition did not come to serve; the cause says what serves."""


def _rebuild(cls: type[OpenSearchMLError], cause: str, evidence: str, fix: str) -> OpenSearchMLError:
    return cls(cause, evidence=evidence, fix=fix)


def _numbered(cause: str, blocks: Sequence[str]) -> str:
    numbered = (f"{number}. {block}" for number, block in enumerate(blocks, start=1))
    return "\n".join([cause, *(text.replace("\n", "\n   ") for text in numbered)])
