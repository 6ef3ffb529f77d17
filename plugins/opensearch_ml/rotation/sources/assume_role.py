"""Sessions of an IAM role: keys of STS that end by themselves, so that the next ones must serve before.

It gives a self-managed cluster what `roleArn` gives a domain of Amazon OpenSearch Service: no key that lasts. Nobody
keeps a session's keys: the connector's mark tells whose they are, since when and until when.
Source: STS API Reference, AssumeRole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.rotation import RotationSection
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import RequestRefused
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam import grants
from opensearch_ml.iam.missing_permissions import telling_what_to_allow
from opensearch_ml.retries import persistently
from opensearch_ml.rotation.sources.session_label import SessionLabel

log = logging.getLogger(__name__)

OVERDUE = 0.5  # of what is left between the time of a refresh and the session's end


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _version(session: SessionLabel) -> str:
    return f"session until {session.until.isoformat(timespec='seconds')}"


class AssumeRoleSource:
    """Sessions of the role in the blueprint's section ``rotation``.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :param access: of who may assume the role.
    :param now: the time, with its zone.
    """

    name = "assume_role"

    def __init__(
        self,
        blueprint: Blueprint,
        hook: OpenSearchMLHook,
        access: AwsAccess,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._section = blueprint.rotation or RotationSection()
        self._blueprint, self._hook, self._access, self._now = blueprint, hook, access, now

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        """Leave nothing to undo: a session ends by itself; a refresh that was missed is told."""
        told = self.overdue(live)
        if told:
            log.warning("%s", told)
        return [told] if told else []

    def serves(self, mark: str | None) -> bool:
        due = self.due(mark)
        return due is not None and self._now() < due

    def stands(self, mark: str | None) -> bool:
        """Tell whether the session of a mark still lives, be a refresh due or not."""
        session = self._session(mark)
        return session is not None and self._now() < session.until

    def check(self) -> str:
        """See that STS gives a session.

        :return: what was seen.
        :raises PermissionDenied: it does not; says both statements that it takes.
        """
        until = persistently(self._assume)["Expiration"]
        return f"STS gives sessions of {self._section.role_arn}, now until {until.isoformat(timespec='seconds')}"

    def next(self) -> NextCredential:
        since = self._now()
        keys = persistently(self._assume)
        self._hook.keep_secret([keys["SecretAccessKey"], keys["SessionToken"]])
        session = SessionLabel(str(self._section.role_arn), since, keys["Expiration"])
        log.info("%s: a session of %s until %s", self._blueprint.name, session.role_arn, session.until.isoformat())
        credential = {
            **self._blueprint.connector.literals,
            "access_key": str(keys["AccessKeyId"]),
            "secret_key": str(keys["SecretAccessKey"]),
            "session_token": str(keys["SessionToken"]),
        }
        return NextCredential(credential, str(session), _version(session), session.until)

    def resume(self, mark: str) -> NextCredential | None:
        """Return the session without its keys, which nobody keeps, as long as no refresh is due."""
        session = self._session(mark)
        if session is None or not self.serves(mark):
            return None
        return NextCredential({}, mark, _version(session), session.until)

    def promote(self, new: NextCredential) -> None:
        """Nothing to do: STS keeps no order of sessions."""

    def abandon(self, new: NextCredential) -> None:
        """Nothing to do: a session cannot be taken back, and ends by itself."""

    def retire(self, old: str | None) -> list[str]:
        session = self._session(old)
        return [f"the session before ends by itself at {session.until.isoformat()}"] if session else []

    def previous(self) -> Mapping[str, str] | None:
        return None

    def due(self, mark: str | None) -> datetime | None:
        session = self._session(mark)
        return session.part(self._section.refresh_at) if session else None

    def overdue(self, mark: str | None) -> str | None:
        """Tell of a refresh that was missed, while the model still answers or once it no longer does.

        :return: a sentence; None if there is nothing to tell.
        """
        session, now = self._session(mark), self._now()
        if session is None:
            return None
        refresh_at = self._section.refresh_at
        until, name = session.until.isoformat(), self._blueprint.name
        if now >= session.until:
            return f"the session that {name} signs with ended at {until}: its model's platform refuses every predict"
        if now < session.part(refresh_at + (1 - refresh_at) * OVERDUE):
            return None
        due = session.part(refresh_at).isoformat()
        return (
            f"{name} missed a refresh: its session was due at {due} and ends at {until}, when the model stops answering"
        )

    def _session(self, mark: str | None) -> SessionLabel | None:
        session = SessionLabel.parse(mark)
        return session if session and session.role_arn == self._section.role_arn else None

    def _assume(self) -> Mapping[str, Any]:
        section = self._section
        role_arn, external_id = str(section.role_arn), section.external_id
        asked = {"ExternalId": external_id} if external_id else {}
        asks_for = f", with the condition sts:ExternalId {external_id}" if external_id else ""
        trust = f"and let the trust policy of {role_arn} allow sts:AssumeRole to the same principal{asks_for}"
        try:
            with telling_what_to_allow(
                self._access, lambda _: grants.statement("sts:AssumeRole", role_arn), besides=trust
            ):
                answer = self._access.call(
                    "sts",
                    "assume_role",
                    RoleArn=role_arn,
                    RoleSessionName=section.session_name,
                    DurationSeconds=section.duration_s,
                    **asked,
                )
        except RequestRefused as refusal:
            raise RequestRefused(
                f"STS gives no session of {role_arn} for {section.duration_s} s",
                evidence=refusal.evidence,
                fix="lower rotation.duration_s to the role's MaxSessionDuration (3600 unless it was raised; always "
                f"3600 if connection {self._access.aws_conn_id} is a role's session itself), or raise that of the role",
            ) from None
        credentials: Mapping[str, Any] = answer["Credentials"]
        return credentials
