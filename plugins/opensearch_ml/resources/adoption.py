"""Adoption: how a model that somebody else made becomes ours without a write that its callers notice.

A connector in use takes no PUT, and a group decides who may use its models; so the model itself carries the mark, at
the end of its description, which no predict reads:

    Answers questions (managed by opensearch_ml: openai_chat, credential scrypt-v1:Zm9v…:K3J5…)

The fingerprint is that of the credential which the blueprint's references give at that moment: the server never tells
the one in use, so it is taken to be the same, and the plan says so. Once the references give another one, or the
definition differs, the model is swapped to a connector of ours like any other. The old connector is not ours: it is
left to whoever made it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from opensearch_ml.base.owner import OWNER
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc
from opensearch_ml.credentials import fingerprint
from opensearch_ml.resources import canonical

MARK = re.compile(
    rf"\s*\(managed by {OWNER}: (?P<blueprint>[A-Za-z0-9_.-]+)(?:, credential (?P<known>[A-Za-z0-9:_-]+))?\)\s*\Z"
)
WORDS = f"managed by {OWNER}"
PADDING = "=="  # of every fingerprint; the server takes no = in a model's description


@dataclass(frozen=True, slots=True)
class Adopted:
    """What an adopted model says of itself.

    :param blueprint: the name of the blueprint that it is for.
    :param known: the fingerprint of the credential; None if it was not known, so that it is to be replaced.
    """

    blueprint: str
    known: str | None = None


def read(model: ModelDoc) -> Adopted | None:
    """Return what an adopted model says of itself; None if it was not adopted."""
    found = MARK.search(str(model.get("description") or ""))
    if found is None:
        return None
    known = f"{found['known']}{PADDING}" if found["known"] else None
    return Adopted(found["blueprint"], known if known and fingerprint.FORM.fullmatch(known) else None)


def described(description: str | None, blueprint_name: str, known: str | None) -> str:
    """Return the description that makes a model ours.

    :param description: what people are to read; a mark in it is replaced.
    :param known: the mark of the credential that the references give (`source.NextCredential.mark`); any but a
        fingerprint is of a key or session that only we can have made, so that it cannot be the one in use.
    """
    fits = known is not None and fingerprint.FORM.fullmatch(known) is not None
    credential = f", credential {str(known).removesuffix(PADDING)}" if fits else ""
    return f"{plain(description)} ({WORDS}: {blueprint_name}{credential})".strip()


def plain(description: str | None) -> str:
    """Return a description without our mark, and without space around it."""
    return MARK.sub("", description or "").strip()


def as_ours(connector: ConnectorDoc, adopted: Adopted) -> ConnectorDoc:
    """Return the connector of an adopted model with the marks that one of ours has, to be compared like one."""
    marks = {
        canonical.LABEL_OWNER: OWNER,
        canonical.LABEL_BLUEPRINT: adopted.blueprint,
        canonical.LABEL_UNMANAGED: "true",
    }
    if adopted.known:
        marks[canonical.LABEL_CREDENTIAL] = adopted.known
    return {**connector, "parameters": {**(connector.get("parameters") or {}), **marks}}
