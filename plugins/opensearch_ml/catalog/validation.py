"""Validation: a parsed document becomes a blueprint, or everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from opensearch_ml.blueprint.findings import findings_of, located
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog import malformed
from opensearch_ml.checks import all_checks
from opensearch_ml.checks.secrets import of_unread
from opensearch_ml.errors import Finding, InvalidBlueprint


def parse_blueprint(name: str, document: Any, *, source: str, lines: Mapping[str, int] | None = None) -> Blueprint:
    """Check a parsed document and return the blueprint.

    :param name: the blueprint's name, which is the stem of its file.
    :param document: the document, its ``${variables.x}`` filled.
    :param source: where it comes from, for the message.
    :param lines: the lines of its fields (`loader.Document.lines`), for the findings.
    :raises InvalidBlueprint: with all findings at once.
    """
    blueprint, findings = examine_blueprint(name, document)
    if findings or blueprint is None:
        raise InvalidBlueprint(source, located(findings, lines or {}))
    return blueprint


def examine_blueprint(
    name: str, document: Any, version: tuple[int, ...] | None = None
) -> tuple[Blueprint | None, list[Finding]]:
    """Return the blueprint that a parsed document describes, and everything that is wrong with it.

    :param version: the cluster's version; None skips the checks that depend on it.
    :return: the blueprint, completed by guesses (`malformed`) if the document is malformed, or None if no guess helped;
        and the findings.
    """
    if not isinstance(document, Mapping):
        return None, findings_of("", "is not a mapping", "Start with `connector:`.")
    findings = []
    if "name" in document:
        findings += findings_of("name", "is the file's own name, and is not written in it", "Remove it.")
    whole = {**document, "name": name}
    try:
        blueprint = Blueprint.model_validate(whole)
    except ValidationError as error:
        mended = malformed.mended(Blueprint, _listed(whole), error)
        findings += findings_of(error, Blueprint) + mended.findings
        findings += mended.told(all_checks.findings(mended.part, version, mended.guessed) if mended.part else [])
        findings += of_unread(mended.taken_out)
        return mended.part, _as_written(findings, document)
    return blueprint, _as_written([*findings, *all_checks.findings(blueprint, version)], document)


def _listed(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a document whose one expectation is a list of one, as `SmokeTest` has it."""
    test = document.get("smoke_test")
    if not isinstance(test, Mapping) or not isinstance(test.get("expect"), Mapping):
        return document
    return {**document, "smoke_test": {**test, "expect": [test["expect"]]}}


def _as_written(findings: list[Finding], document: Mapping[str, Any]) -> list[Finding]:
    """Return findings with the paths that the file has: what stands alone there is in no list, and in no mapping."""
    if _listed(document) is not document:
        findings = [replace(one, path=re.sub(r"^(smoke_test\.expect)\.0(?=\.|$)", r"\1", one.path)) for one in findings]
    model = document.get("model")
    if isinstance(model, Mapping) and isinstance(model.get("group"), str):
        findings = [replace(one, path=re.sub(r"^(model\.group)\.name$", r"\1", one.path)) for one in findings]
    return findings
