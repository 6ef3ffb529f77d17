"""The section `rotation`: its fields go with its source, and its source with the connector."""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.blueprint.rotation import FIELDS_OF, NEEDED, RotationSection
from opensearch_ml.errors import Finding

SIGNING = {"access_key", "secret_key", "session_token", "roleArn"}
SECRET_HINT = "{secret_id: prod/my_platform, key: api_key}"  # noqa: S105 the form of a reference


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield what of the section cannot work with this connector."""
    section, connector = blueprint.rotation, blueprint.connector
    if section is None:
        return
    yield from _fields(section)
    if section.supplied:
        yield from _supplied(section, connector)
    elif connector.is_mcp or not connector.references:
        yield Finding(
            "rotation",
            "has nothing to rotate: no part of connector.credential is a reference, or there is no model",
            "Remove it; a roleArn is checked in any case.",
        )
    elif section.source == "secrets_manager":
        yield from _secrets(connector)


def _fields(section: RotationSection) -> Iterator[Finding]:
    own = FIELDS_OF[section.source]
    for field in sorted(section.model_fields_set - {"source", *own}):
        source = next(name for name, fields in FIELDS_OF.items() if field in fields)
        yield Finding(
            f"rotation.{field}",
            f"goes with source {source}, not with {section.source}",
            "Correct source or remove it.",
        )
    for field in NEEDED.get(section.source, ()):
        if getattr(section, field) is None:
            yield Finding(f"rotation.{field}", f"is missing, and source {section.source} needs it", f"Add {field}.")
    if section.source == "iam_user_key" and section.delete_after_h >= section.max_age_d * 24:
        yield Finding(
            "rotation.delete_after_h",
            "keeps the old key until the next one is due, and a user has room for two",
            f"Write less than {section.max_age_d * 24}, or raise max_age_d.",
        )


def _supplied(section: RotationSection, connector: Connector) -> Iterator[Finding]:
    if connector.protocol != "aws_sigv4":
        yield Finding(
            "rotation.source",
            f"is {section.source}, which gives keys to sign with, and protocol {connector.protocol} signs nothing",
            "Use protocol aws_sigv4, or another source.",
        )
    for key in sorted({*connector.references, *SIGNING} & connector.credential.keys()):
        yield Finding(
            f"connector.credential.{key}",
            f"stands beside rotation source {section.source}, which gives all that signs and follows no reference",
            "Remove it, or use another source.",
        )


def _secrets(connector: Connector) -> Iterator[Finding]:
    secrets = {one.secret_id for one in connector.references.values() if one.secret_id}
    if not secrets:
        yield Finding(
            "rotation.source",
            "is secrets_manager, and connector.credential refers to no secret of AWS Secrets Manager",
            f"Write a reference such as {SECRET_HINT}, or use source connection.",
        )
    elif len(secrets) > 1:
        yield Finding(
            "rotation.source",
            "is secrets_manager, and the credential is in several secrets, which cannot be promoted in one step",
            "Keep all of it in one secret, as a JSON object, and refer to its keys.",
        )
