"""An IAM user's access key: the second one is created, comes to serve, and the first one is deactivated, then deleted.

Nobody keeps a key's secret: IAM tells it once, and the cluster encrypts it. A key that a killed run created and handed
to no connector is therefore worth nothing, and the next run deletes it. That a key is ours is noted in a tag of the
user (`key_notes`), before it is made and again once its id is known; no other key is ever changed.
Source: IAM User Guide, "Manage access keys for IAM users"; two keys are IAM's limit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from enum import Enum

from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.rotation import RotationSection
from opensearch_ml.credentials.source import NextCredential
from opensearch_ml.errors import Conflict, OpenSearchMLError, RequestRefused, RotationFailed
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.rotation.record import no_journal
from opensearch_ml.rotation.sources.iam_user_client import MAX_KEYS, NEVER_USED, UserInIam
from opensearch_ml.rotation.sources.journal import SourceJournal, journaled
from opensearch_ml.rotation.sources.key_notes import Intent, Key, KeyNotes, Off, key_of, mark_of

log = logging.getLogger(__name__)

WORKS_S = 60.0  # what IAM holds takes seconds, seldom a minute, to spread
VERIFY_S = 10.0  # so does a deactivation: as long the model is asked again and again
PAUSE_S = 1.0


class KeyStep(str, Enum):
    """What this source writes or waits for; a killed run is taken up again at each."""

    INTEND = "intend_key"
    CREATE = "create_key"
    NOTE_MADE = "note_key"
    WAIT = "wait_for_key"
    NOTE_OFF = "note_old_key_off"
    DEACTIVATE = "deactivate_old_key"
    VERIFY = "verify_without_old_key"
    NOTE_VERIFIED = "note_old_key_verified"
    DELETE_OLD = "delete_old_key"
    DELETE_NEW = "delete_new_key"  # on failure, or after a kill
    ACTIVATE = "activate_old_key"  # only on failure


class IamUserKeySource:
    """The keys of the user in the blueprint's section ``rotation``.

    :param hook: is told every secret, so that none appears in a log or in an error.
    :param user: its keys in IAM, and our notes on them.
    :param verify: raises unless the model answers; asked once the old key is off.
    :param verify_s: how long it is asked, in seconds.
    """

    name = "iam_user_key"

    def __init__(
        self,
        blueprint: Blueprint,
        hook: OpenSearchMLHook,
        user: UserInIam,
        *,
        verify: Callable[[], object],
        verify_s: float = VERIFY_S,
        on_step: SourceJournal = no_journal,
    ) -> None:
        self._section = blueprint.rotation or RotationSection()
        self._blueprint, self._hook, self._user = blueprint, hook, user
        self._verify, self._verify_s, self._on_step = verify, verify_s, on_step
        self._made: dict[str, NextCredential] = {}  # by this process, which alone knows their secrets
        self._live: str | None = None

    # ---- what stands

    def serves(self, mark: str | None) -> bool:
        due = self.due(mark)
        return due is not None and datetime.now(timezone.utc) < due

    def stands(self, mark: str | None) -> bool:
        """Tell whether the key of a mark works, be the next one due or not."""
        key = self._user.key(key_of(mark))
        return key is not None and key.active

    def check(self) -> str:
        """See that the user is there, and has room for a key that has yet to be made.

        :return: what was seen.
        :raises RequestRefused: it has two keys, none of them ours.
        """
        keys, notes = self._user.keys(), self._user.notes()
        ours = [key.key_id for key in keys if key.key_id in notes.made]
        if len(keys) >= MAX_KEYS and not ours:
            raise self._no_room(keys, notes)
        return f"user {self._user.user_name} has {len(keys)} of {MAX_KEYS} access keys, {len(ours)} made here"

    def due(self, mark: str | None) -> datetime | None:
        key = self._user.key(key_of(mark))
        return key.created + timedelta(days=self._section.max_age_d) if key and key.active else None

    def resume(self, mark: str) -> NextCredential | None:
        """Return the key, if we made it and it works; without its secret, unless this very process has made it."""
        key = self._user.key(key_of(mark))
        if key is None or not key.active or key.key_id not in self._user.notes().made:
            return None
        return self._made.get(mark) or NextCredential({}, mark, key.key_id)

    def previous(self) -> Mapping[str, str] | None:
        return None

    # ---- the new key

    def next(self) -> NextCredential:
        """Create the second key and wait until AWS knows it.

        :raises RequestRefused: the user has two keys already; says which can be finished or removed, and how.
        """
        keys, notes = self._user.keys(), self._user.notes()
        if len(keys) >= MAX_KEYS:
            raise self._no_room(keys, notes)
        intended = replace(notes, intent=Intent(self._user.aws_now, tuple(key.key_id for key in keys)))
        with journaled(self._on_step, KeyStep.INTEND):
            self._user.note(intended)
        try:
            with journaled(self._on_step, KeyStep.CREATE):
                key_id, secret = self._user.create()
        except OpenSearchMLError:
            self._undo_intent(intended)  # it may have been made, and the answer lost
            raise
        self._hook.keep_secret([secret])
        with journaled(self._on_step, KeyStep.NOTE_MADE):
            self._user.note(intended.with_made(key_id))
        try:
            with journaled(self._on_step, KeyStep.WAIT):
                self._user.wait_until_works(key_id, secret, timeout_s=WORKS_S)
        except OpenSearchMLError:
            self._delete(key_id, KeyStep.DELETE_NEW)
            raise
        log.info("%s: user %s has a new key, %s, and AWS knows it", self._blueprint.name, self._user.user_name, key_id)
        return self._keep(key_id, secret)

    def promote(self, new: NextCredential) -> None:
        """See that the key is still there; IAM keeps no order of keys."""
        if self._user.key(key_of(new.mark)) is None:
            raise Conflict(
                f"somebody deleted the new key of user {self._user.user_name} during the rotation",
                evidence=f"iam:ListAccessKeys does not name {new.version}",
                fix="run again; only one of the cluster's blueprints may use the user",
            )

    def abandon(self, new: NextCredential) -> None:
        if key_id := key_of(new.mark):
            self._delete(key_id, KeyStep.DELETE_NEW)
            self._made.pop(new.mark, None)

    # ---- the old key

    def retire(self, old: str | None) -> list[str]:
        """Deactivate the old key, see that the model answers without it, and delete it once its time has come.

        :raises RotationFailed: the model does not answer without it; it is active again.
        """
        keys, notes = self._user.keys(), self._user.notes()
        key = next((key for key in keys if key.key_id == key_of(old)), None)
        if key_of(old) is None:
            others = [one.key_id for one in keys if one.key_id not in notes.made]
            told = f" (user {self._user.user_name} still has {', '.join(others)})" if others else ""
            return [f"the credential before was none of this source's keys: whoever made it takes it back{told}"]
        if key is None:
            return []
        if key.key_id not in notes.made:
            return [f"key {key.key_id} was not made here, so it is left as it is"]
        return self._take_off(key, notes)

    def recover(self, live: str | None, others: Sequence[str]) -> list[str]:
        """Delete keys of ours that no connector has, and go on with an old key that a killed run left half retired."""
        self._live = live
        return self._delete_orphans((live, *others)) + self._finish_off(live)

    def left_over(self) -> str | None:
        """Tell of an old key that `tidy` would go on with; None if there is none, or its time has not come."""
        keys, notes = self._user.keys(), self._user.notes()
        if notes.off is None:
            return None
        at = self._deleted_from(notes)
        if notes.off.key_id not in [key.key_id for key in keys] or (at and self._user.aws_now < at):
            return None
        return f"the old key {notes.off.key_id} is {'to be deleted' if at else 'half retired'}"

    def tidy(self, live: str | None) -> list[str]:
        """Go on with an old key, once nobody rotates: delete it if its time has come. Idempotent.

        :param live: the mark of the connector that serves.
        :return: what was done, and what is still to come.
        """
        return self._finish_off(live)

    def withdraw(self, marks: Iterable[str | None]) -> list[str]:
        """Delete every key of ours that no connector has, once the blueprint is torn down. Idempotent.

        :param marks: those of the connectors that are left.
        :return: what was done.
        """
        return self._delete_orphans(marks, also_off=True)

    def _delete_orphans(self, marks: Iterable[str | None], *, also_off: bool = False) -> list[str]:
        keys, notes = self._user.keys(), self._user.notes()
        told = []
        if notes.intent:
            told += self._undo_intent(notes, keys)
            keys, notes = self._user.keys(), self._user.notes()
        used = {key_id for mark in marks if (key_id := key_of(mark))}
        for orphan in (replace(notes, off=None) if also_off else notes).orphans(keys, used):
            self._delete(orphan.key_id, KeyStep.DELETE_NEW)
            told.append(f"key {orphan.key_id} of user {self._user.user_name}, which no connector has, was deleted")
        return told

    def _finish_off(self, live: str | None) -> list[str]:
        notes = self._user.notes()
        if notes.off is None:
            return []
        key = self._user.key(notes.off.key_id)
        if key is None:
            self._user.note(notes.without(notes.off.key_id))
            return []
        if key.key_id == key_of(live):
            self._take_back(key, notes)
            return [f"key {key.key_id} serves again, so it is active again"]
        if not notes.off.verified:
            return self._take_off(key, notes)
        return self._delete_if_due(key, notes)

    def _take_off(self, key: Key, notes: KeyNotes) -> list[str]:
        if notes.off is None or notes.off.key_id != key.key_id:
            notes = replace(notes, off=Off(key.key_id, self._user.aws_now))
            with journaled(self._on_step, KeyStep.NOTE_OFF):
                self._user.note(notes)
        if notes.off and notes.off.verified:
            return self._delete_if_due(key, notes)
        with journaled(self._on_step, KeyStep.DEACTIVATE):
            self._user.switch(key.key_id, active=False)
        try:
            with journaled(self._on_step, KeyStep.VERIFY):
                self._see_that_it_answers()
        except OpenSearchMLError as why:
            self._take_back(key, notes)
            raise RotationFailed(
                f"the model of {self._blueprint.name} does not answer without the old key {key.key_id}: it is on again",
                evidence=f"{why.cause}: {why.evidence}",
                fix="find out who still signs with the old key (iam:GetAccessKeyLastUsed), and run again",
            ) from None
        notes = replace(notes, off=Off(key.key_id, self._user.aws_now, verified=True))
        with journaled(self._on_step, KeyStep.NOTE_VERIFIED):
            self._user.note(notes)
        return [f"key {key.key_id} is off, and the model answers", *self._delete_if_due(key, notes)]

    def _delete_if_due(self, key: Key, notes: KeyNotes) -> list[str]:
        at = self._deleted_from(notes)
        if at is None or self._user.aws_now < at:
            when = at.isoformat(timespec="seconds") if at else "once it is verified"
            return [f"key {key.key_id} is off and will be deleted by the first run after {when}"]
        self._delete(key.key_id, KeyStep.DELETE_OLD)
        return [f"key {key.key_id}, which was off, was deleted"]

    def _deleted_from(self, notes: KeyNotes) -> datetime | None:
        if notes.off is None or not notes.off.verified:
            return None
        return notes.off.at + timedelta(hours=self._section.delete_after_h)

    def _take_back(self, key: Key, notes: KeyNotes) -> None:
        with journaled(self._on_step, KeyStep.ACTIVATE):
            self._user.switch(key.key_id, active=True)
            self._user.note(replace(notes, off=None))

    def _see_that_it_answers(self) -> None:
        until = time.monotonic() + self._verify_s
        self._verify()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(PAUSE_S, left))  # there is nothing to wait for: what may come is a refusal
            self._verify()

    def _undo_intent(self, notes: KeyNotes, keys: list[Key] | None = None) -> list[str]:
        """Delete the key that was meant, if it was made: its secret is lost."""
        told = []
        for key in notes.meant(keys if keys is not None else self._user.keys()):
            if (used := self._user.last_used(key.key_id)) != NEVER_USED:
                told.append(f"key {key.key_id} was made meanwhile by somebody who used it ({used}): it is left")
                continue
            with journaled(self._on_step, KeyStep.DELETE_NEW):
                self._user.delete(key.key_id)
            told.append(f"key {key.key_id}, whose secret nobody knows, was deleted")
        self._user.note(replace(notes, intent=None))
        return told

    def _delete(self, key_id: str, step: KeyStep) -> None:
        notes = self._user.notes()
        if key_id not in notes.made:
            return
        with journaled(self._on_step, step):
            self._user.delete(key_id)
            self._user.note(notes.without(key_id))

    def _keep(self, key_id: str, secret: str) -> NextCredential:
        keys = {"access_key": key_id, "secret_key": secret}
        made = NextCredential({**self._blueprint.connector.literals, **keys}, mark_of(key_id), key_id)
        self._made[made.mark] = made
        return made

    def _no_room(self, keys: Sequence[Key], notes: KeyNotes) -> RequestRefused:
        user, told, ways = self._user.user_name, [], []
        for key in keys:
            words, way = self._about(key, notes)
            state = "active" if key.active else "inactive"
            told.append(f"{key.key_id} ({state}, made {key.created:%Y-%m-%d}) {words}")
            ways += [way] if way else []
        return RequestRefused(
            f"user {user} has {len(keys)} access keys, and IAM allows {MAX_KEYS}: there is no room for the next one",
            evidence="; ".join(told),
            fix="; or ".join(ways) or f"give blueprint {self._blueprint.name} an IAM user of its own",
        )

    def _about(self, key: Key, notes: KeyNotes) -> tuple[str, str]:
        delete = f"aws iam delete-access-key --user-name {self._user.user_name} --access-key-id {key.key_id}"
        if key.key_id == key_of(self._live):
            return "serves", ""
        if notes.off and notes.off.key_id == key.key_id:
            at = self._deleted_from(notes)
            when = f"after {at.isoformat(timespec='seconds')}" if at else "once the model is seen to answer without it"
            return f"is the one before, kept until {when}", f"run again {when}, or delete it now: {delete}"
        if key.key_id in notes.made:
            return "was made here, and a connector has it", "finish or undo that connector's rotation: run again"
        if owner := self._user.other_owner(key.key_id):
            words = f"was made for another blueprint or cluster (tag {owner})"
            return words, f"give blueprint {self._blueprint.name} an IAM user of its own (rotation.user_name)"
        used = self._user.last_used(key.key_id)
        return f"was not made here, last used {used}", f"if nobody needs it any more, delete {key.key_id}: {delete}"
