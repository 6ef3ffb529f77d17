"""Secrets of AWS Secrets Manager: their versions, the labels on these, and what one of them holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opensearch_ml.aws.access import DEFAULT_CONNECTION, AwsAccess
from opensearch_ml.base.arns import Principal
from opensearch_ml.base.secret_masking import KnownSecrets
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.errors import NotFound, RequestRefused
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.iam import grants
from opensearch_ml.iam.missing_permissions import telling_what_to_allow

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
ARN = re.compile(r"arn:(?P<partition>[a-z-]+):secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:.+")


def access_for(hook: OpenSearchMLHook, aws_conn_id: str | None = None) -> AwsAccess:
    """Return the way to AWS for what the blueprints of a cluster need: secrets, roles, keys.

    :param aws_conn_id: the AWS connection; default: the one that signs the requests to the cluster, or ``aws_default``.
    """
    return AwsAccess(aws_conn_id or (hook.aws.aws_conn_id if hook.aws else DEFAULT_CONNECTION))


@dataclass(frozen=True, slots=True)
class Labels:
    """Which version each label is on, by its id.

    :param rotates_itself: AWS's own rotation is on: it promotes AWSPENDING itself, at a time of its own.
    """

    current: str | None
    pending: str | None
    previous: str | None
    rotates_itself: bool


class Secret:
    """One secret.

    :param access: of who may read it; a secret named by its ARN is asked for in the ARN's region.
    """

    def __init__(self, access: AwsAccess, secret_id: str) -> None:
        found = ARN.fullmatch(secret_id)
        self.secret_id = secret_id
        self._access = AwsAccess(access.aws_conn_id, found["region"], KnownSecrets()) if found else access

    def labels(self) -> Labels:
        """Return where the labels are. Source: ``secretsmanager:DescribeSecret``."""
        with self._telling("DescribeSecret", "GetSecretValue", "UpdateSecretVersionStage"):
            found = self._access.call("secretsmanager", "describe_secret", SecretId=self.secret_id)
        versions = found.get("VersionIdsToStages") or {}
        on = {label: version for version, labels in versions.items() for label in labels}
        return Labels(on.get(CURRENT), on.get(PENDING), on.get(PREVIOUS), bool(found.get("RotationEnabled")))

    def text(self, version_id: str | None = None) -> str:
        """Return what a version holds.

        :param version_id: default: the version with label AWSCURRENT.
        :raises NotFound: there is no such secret, or version.
        :raises LookupError: it holds no text.
        Source: ``secretsmanager:GetSecretValue``.
        """
        version = {"VersionId": version_id} if version_id else {}
        with self._telling("GetSecretValue"):
            found = self._access.call("secretsmanager", "get_secret_value", SecretId=self.secret_id, **version)
        if not found.get("SecretString"):
            raise LookupError("holds bytes or nothing, and a text is needed")
        return str(found["SecretString"])

    def make_current(self, version_id: str, *, instead_of: str) -> None:
        """Move AWSCURRENT from one version to another, in one step; AWSPREVIOUS follows by itself.

        :raises RequestRefused: AWSCURRENT is no longer on the version that it is to be taken off.
        Source: ``secretsmanager:UpdateSecretVersionStage``.
        """
        with self._telling("UpdateSecretVersionStage", "DescribeSecret", "GetSecretValue"):
            self._access.call(
                "secretsmanager",
                "update_secret_version_stage",
                SecretId=self.secret_id,
                VersionStage=CURRENT,
                MoveToVersionId=version_id,
                RemoveFromVersionId=instead_of,
            )

    @contextmanager
    def _telling(self, *actions: str) -> Iterator[None]:
        def needed(caller: Principal) -> dict[str, Any]:
            # To a name the service adds a hyphen and six characters, which only it knows.
            of_name = f"{caller.account_id}:secret:{self.secret_id}-??????"
            region = self._access.region_name or "*"
            resource = f"arn:{caller.partition}:secretsmanager:{region}:{of_name}"
            named = ARN.fullmatch(self.secret_id) is not None
            return grants.statement([f"secretsmanager:{one}" for one in actions], self.secret_id if named else resource)

        with telling_what_to_allow(
            self._access, needed, besides="a secret with a KMS key of its own also needs kms:Decrypt on that key"
        ):
            yield


def part(text: str, key: str | None) -> str:
    """Return the value of a key of a secret's JSON, or the secret as it is if no key is asked for.

    :raises LookupError: there is none; the message says why, without anything of the text.
    """
    if key is None:
        return text
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise LookupError("is no JSON object, so it has no key")
    if found.get(key) in (None, ""):
        raise LookupError("has no such key in its JSON, or nothing under it")
    return as_text(found[key])


def current_text(access: AwsAccess, secret_id: str) -> str:
    """Return what the current version of a secret holds.

    :raises LookupError: there is none; the message says why.
    """
    try:
        return Secret(access, secret_id).text()
    except NotFound as missing:
        raise LookupError(f"is not there ({missing.evidence}; connection {access.aws_conn_id})") from None
    except RequestRefused as refusal:  # marked for deletion, for instance
        raise LookupError(f"cannot be read ({refusal.evidence})") from None
