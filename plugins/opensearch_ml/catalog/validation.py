"""Validation: a parsed document becomes a blueprint, or everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from opensearch_ml.blueprint.findings import findings_of
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.checks import all_checks, secrets
from opensearch_ml.errors import Finding


def examine_blueprint(
    name: str, document: Any, version: tuple[int, ...] | None = None
) -> tuple[Blueprint | None, list[Finding]]:
    """Return the blueprint that a parsed document describes, and what is wrong with it.

    If the document is malformed, these are the findings of its fields and its literal secrets only: all other checks
    need a blueprint, and are skipped (`Finding.skips_checks`).

    :param version: the cluster's version; None skips the checks that depend on it.
    :return: the blueprint, or None if the document is malformed; and the findings.
    """
    if not isinstance(document, Mapping):
        return None, findings_of("", "is not a mapping", "Start with `connector:`.")
    findings = []
    if "name" in document:
        findings += findings_of("name", "is the file's own name, and is not written in it", "Remove it.")
    blueprint = None
    try:
        blueprint = Blueprint.model_validate({**document, "name": name})
    except ValidationError as error:
        findings += findings_of(error, Blueprint)
    else:
        findings += all_checks.findings(blueprint, version)
    findings += secrets.findings(document, is_malformed=blueprint is None)
    return blueprint, _as_written(findings, document)


def _as_written(findings: list[Finding], document: Mapping[str, Any]) -> list[Finding]:
    """Return findings with the paths that the file has: what stands alone there is in no list, and in no mapping."""
    test = document.get("smoke_test")
    if isinstance(test, Mapping) and isinstance(test.get("expect"), Mapping):
        findings = [replace(one, path=re.sub(r"^(smoke_test\.expect)\.0(?=\.|$)", r"\1", one.path)) for one in findings]
    model = document.get("model")
    if isinstance(model, Mapping) and isinstance(model.get("group"), str):
        findings = [replace(one, path=re.sub(r"^(model\.group)\.name$", r"\1", one.path)) for one in findings]
    return findings
