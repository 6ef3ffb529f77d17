"""One IAM user's access keys, and the tag with our notes on them: each read and each write, by name.

Source: IAM API Reference, CreateAccessKey and the calls around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from opensearch_ml.aws.access import AwsAccess
from opensearch_ml.base.arns import Principal
from opensearch_ml.errors import AuthenticationFailed, NotFound, NotYetEffective
from opensearch_ml.iam import grants
from opensearch_ml.iam.missing_permissions import telling_what_to_allow
from opensearch_ml.retries import until_effective
from opensearch_ml.rotation.sources.key_notes import TAG_PREFIX, Key, KeyNotes

ACTIONS = (
    *("ListAccessKeys", "GetAccessKeyLastUsed", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"),
    *("ListUserTags", "TagUser"),
)
MAX_KEYS = 2  # IAM's limit
NEVER_USED = "N/A"
IN_A_ROW = 3  # IAM spreads a new key: one server that knows it does not mean that all do


class UserInIam:
    """One user, and one caller who works on its keys; a refusal is told with the statement that lets all of it.

    :param access: of the caller.
    :param tag: returns the name of the tag with our notes.
    """

    def __init__(self, access: AwsAccess, user_name: str, tag: Callable[[], str]) -> None:
        self.user_name = user_name
        self._access, self._ask_tag = access, tag
        self.aws_now = datetime.now(timezone.utc)

    @cached_property
    def _tag(self) -> str:
        return self._ask_tag()

    # ---- reads

    def keys(self) -> list[Key]:
        """Return the user's keys, oldest first; also notes what time it is at AWS.

        :raises NotFound: there is no such user.
        """
        answer = self._call("list_access_keys")
        if date := answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"):
            self.aws_now = parsedate_to_datetime(date)
        found = [Key(k["AccessKeyId"], k["Status"] == "Active", k["CreateDate"]) for k in answer["AccessKeyMetadata"]]
        return sorted(found, key=lambda key: key.created)

    def key(self, key_id: str | None) -> Key | None:
        """Return one of them, if it is there."""
        return next((key for key in self.keys() if key.key_id == key_id), None) if key_id else None

    def notes(self) -> KeyNotes:
        """Return what is noted for this blueprint on this cluster."""
        return KeyNotes.parse(self._tags().get(self._tag))

    def other_owner(self, key_id: str) -> str | None:
        """Return whose key it is by the notes for other blueprints and clusters: the tag's name; None if by none."""
        tags = {name: value for name, value in self._tags().items() if name.startswith(f"{TAG_PREFIX}:")}
        return next((name for name, value in tags.items() if key_id in KeyNotes.parse(value).made), None)

    def last_used(self, key_id: str) -> str:
        """Return when and for what a key was last used, in words; `NEVER_USED` if it never was."""
        told = self._call("get_access_key_last_used", AccessKeyId=key_id, with_user=False)["AccessKeyLastUsed"]
        if not told.get("LastUsedDate"):
            return NEVER_USED
        return f"{told['LastUsedDate']:%Y-%m-%d} for {told.get('ServiceName', NEVER_USED)}"

    def wait_until_works(self, key_id: str, secret: str, *, timeout_s: float) -> None:
        """Ask STS who signs with a new key until it knows, several times in a row.

        :raises NotYetEffective: the time is up.
        """
        sts = self._access.client_with("sts", key_id, secret)

        def ask_sts() -> None:  # its name is in the log
            try:
                for _ in range(IN_A_ROW):
                    with self._access.asking():
                        sts.get_caller_identity()  # needs no permission
            except AuthenticationFailed as unknown:
                raise NotYetEffective(
                    f"AWS does not know the new key {key_id} yet", evidence=unknown.evidence, fix="run again"
                ) from None

        until_effective(ask_sts, timeout_s=timeout_s)

    # ---- writes

    def note(self, notes: KeyNotes) -> None:
        """Write our notes, all in one call."""
        self._call("tag_user", Tags=[{"Key": self._tag, "Value": str(notes)}])

    def create(self) -> tuple[str, str]:
        """Create a key; return its id and its secret, which nobody can be told again."""
        made = self._call("create_access_key")["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def switch(self, key_id: str, *, active: bool) -> None:
        """Deactivate a key, or activate it again."""
        self._call("update_access_key", AccessKeyId=key_id, Status="Active" if active else "Inactive")

    def delete(self, key_id: str) -> None:
        """Delete a key, unless it is gone."""
        try:
            self._call("delete_access_key", AccessKeyId=key_id)
        except NotFound:
            return

    def _tags(self) -> Mapping[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self._call("list_user_tags")["Tags"]}

    def _call(self, operation: str, *, with_user: bool = True, **arguments: Any) -> dict[str, Any]:
        named = {"UserName": self.user_name} if with_user else {}

        def needed(caller: Principal) -> dict[str, Any]:
            user_arn = f"arn:{caller.partition}:iam::{caller.account_id}:user/{self.user_name}"
            return grants.statement([f"iam:{action}" for action in ACTIONS], user_arn)

        with telling_what_to_allow(self._access, needed):
            return self._access.call("iam", operation, **named, **arguments)
