"""The blueprint's section `rotation`: where the next credential comes from.

Which fields go with which source is said by `checks.rotation`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from opensearch_ml.base.arns import ROLE_ARN
from opensearch_ml.blueprint.fields import Strict

Source = Literal["connection", "secrets_manager", "iam_user_key", "assume_role"]

FIELDS_OF: dict[str, tuple[str, ...]] = {
    "connection": (),
    "secrets_manager": (),
    "iam_user_key": ("user_name", "max_age_d", "delete_after_h"),
    "assume_role": ("role_arn", "external_id", "session_name", "duration_s", "refresh_at"),
}
NEEDED = {"iam_user_key": ("user_name",), "assume_role": ("role_arn",)}
SUPPLIED = {
    "iam_user_key": ("access_key", "secret_key"),
    "assume_role": ("access_key", "secret_key", "session_token"),
}
NAME = r"[A-Za-z0-9_+=,.@-]"


class RotationSection(Strict):
    """Where the next credential comes from; without this section: what the connector's references say."""

    source: Source = Field(
        default="connection",
        description="connection: the references have new values. secrets_manager: AWSPENDING is tested and promoted. "
        "iam_user_key: an IAM user's second access key. assume_role: sessions of STS, renewed before they end",
    )
    user_name: str | None = Field(
        default=None, pattern=rf"^{NAME}{{1,64}}$", description="iam_user_key: an IAM user for this blueprint alone"
    )
    max_age_d: int = Field(default=90, ge=1, le=3650, description="iam_user_key: days until a key is replaced")
    delete_after_h: int = Field(
        default=24, ge=0, le=8760, description="iam_user_key: hours from deactivating a key to deleting it"
    )
    role_arn: str | None = Field(
        default=None, pattern=f"^{ROLE_ARN}$", description="assume_role: arn:PARTITION:iam::ACCOUNT:role/NAME"
    )
    external_id: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$", description="assume_role: if the role asks for one"
    )
    session_name: str = Field(
        default="opensearch_ml", pattern=rf"^{NAME}{{2,64}}$", description="assume_role: seen in CloudTrail"
    )
    duration_s: int = Field(
        default=3600, ge=900, le=43200, description="assume_role: seconds, up to the role's own maximum"
    )
    refresh_at: float = Field(
        default=0.5, ge=0.1, le=0.9, description="assume_role: part of a session's life after which it is replaced"
    )

    @property
    def supplied(self) -> tuple[str, ...]:
        """The keys of the credential that the source gives, so that the connector has no references for them."""
        return SUPPLIED.get(self.source, ())
