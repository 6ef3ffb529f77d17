"""A blueprint of a document that a test has written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_ml.blueprint.findings import located
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.catalog.validation import examine_blueprint
from opensearch_ml.errors import InvalidBlueprint


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
