"""What a page leaves to its reader (``<YOUR REGION>``, ``your_model``, ``{{endpoint}}``, ``...``), made variables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opensearch_ml.blueprint.placeholders import join

MAX_WORDS = 4

_ANGLE = re.compile(r"<(?!/)(?=[^<>]*[A-Za-z]{3})([^<>|\n]{2,200})>")
_SPELLED = re.compile(  # in long texts <bos> and List<String> are what they are
    r"<((?i:please|your|enter|add|insert|replace)\b[^<>\n]{0,80}|[A-Z][A-Z0-9]+(?:[ _-][A-Z0-9]+)+)>"
)
_MUSTACHE = re.compile(r"(?<!\$)\{\{\s*([\w .-]{1,60}?)\s*\}\}")
_BRACED_YOUR = re.compile(r"(?<![${])\{(your[ _-][\w -]{1,60})\}(?!\})", re.IGNORECASE)
_BRACE = re.compile(r"(?<![${])\{([A-Za-z][\w -]{0,40})\}(?!\})")
_YOUR = re.compile(r"(?<![A-Za-z0-9])(your[_-][\w-]+)", re.IGNORECASE)
_PHRASE = re.compile(
    r"(?:(?:please|enter|add|insert|replace|with|the|my|put)[ _-])*your[_-][\w-]+(?: like [\w-]+)?"
    r"|(?-i:(?:[A-Z]+ )*YOUR(?: [A-Z][A-Za-z0-9]*)+)"  # "Your answer: " is a prompt
    r"|(?:the_)?\w+_here|(?:replace|change|insert|enter)[_-](?:me|with|your)\w*",
    re.IGNORECASE,
)
_DOTS = re.compile(r"\.{3,}|…+|x{3,}|X{3,}|\*{3,}|TODO|TBD")
_ALTERNATIVES = re.compile(r"<([\w./-]+)(?:\|[\w./-]+)+>")
_LEADING = frozenset(
    {"please", "enter", "add", "insert", "replace", "with", "your", "the", "my", "a", "an", "put", "aws", "amazon"}
)
_TRAILING = re.compile(
    r"[ _-]+(?:here\b|created\b|from[ _-]|like\b|in[ _-]|if[ _-]|that[ _-]|which[ _-]|e[.]?g\b).*", re.I
)
# What AWS's documents write where a value of one's own belongs.
_AWS_WORDS = {"region": "region", "endpoint-id": "endpoint_name", "endpoint-name": "endpoint_name"}


@dataclass
class Unknowns:
    """The variables made so far.

    :param defaults: name to default, for those that have a sensible one.
    :param lacking: name to the field that it was made for, for those that have none.
    """

    defaults: dict[str, Any] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)

    def variable(self, name: str, path: str, default: Any = None) -> str:
        """Return ``${variables.name}``, known from here on."""
        if default is not None:
            self.defaults.setdefault(name, default)
            self.lacking.pop(name, None)
        elif name not in self.defaults:
            self.lacking.setdefault(name, path)
        return f"${{variables.{name}}}"

    def resolved(self, value: Any, path: str, notes: Callable[[str], None], *, url: bool = False) -> Any:
        """Return a value of any depth with what its reader has to fill in as variables.

        :param path: of the value in the blueprint, for instance ``connector.parameters.model``.
        """
        if isinstance(value, dict):
            return {key: self.resolved(one, join(path, key), notes) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolved(one, join(path, index), notes) for index, one in enumerate(value)]
        return self._text(value, path, notes, url) if isinstance(value, str) else value

    def _text(self, text: str, path: str, notes: Callable[[str], None], url: bool) -> str:
        field_name = path.rpartition(".")[2]
        if field_name.lower().startswith("stop"):
            return text  # where generation stops: <bos> and the like
        if several := _ALTERNATIVES.fullmatch(text.strip()):
            notes(f"{path}: the page gives several values ({text.strip('<> ')}); {several[1]} was taken.")
            return several[1]
        if is_placeholder(text):
            return self._known(name_of(text, field_name), path)

        def replaced(found: re.Match[str]) -> str:
            return self._known(name_of(found[1], ""), path)

        spelled = _SPELLED if _is_prose(text) and not url else _ANGLE
        text = (
            _MUSTACHE.sub(replaced, spelled.sub(replaced, text)) if spelled is _ANGLE else spelled.sub(replaced, text)
        )
        if url:
            text = _BRACE.sub(replaced, _YOUR.sub(replaced, text))
        return text

    def _known(self, name: str, path: str) -> str:
        if name.endswith("region"):
            return self.variable("region", path, "us-east-1")
        if name in ("account", "aws_account", "aws_account_id"):
            name = "account_id"
        return self.variable(name, path)


def is_placeholder(text: str) -> bool:
    """Tell whether a text is nothing but a place for a value of the reader's own."""
    told = text.strip()
    return not told or any(
        pattern.fullmatch(told) for pattern in (_ANGLE, _MUSTACHE, _BRACED_YOUR, _PHRASE, _YOUR, _DOTS, _ALTERNATIVES)
    )


def name_of(placeholder: str, field_name: str) -> str:
    """Return a variable's name for a placeholder.

    :param field_name: of the field whose whole value it is, or empty.
    """
    name = slug(field_name)
    if name and name not in ("url", "0"):
        return name
    told = re.sub(r"[<>{}]", " ", placeholder).strip()
    told = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", told)
    words = re.split(r"[^A-Za-z0-9]+", _TRAILING.sub("", told).lower())
    while words and words[0] in _LEADING:
        words.pop(0)
    return slug("_".join(words[:MAX_WORDS])) or ("endpoint_url" if name == "url" else "value")


def slug(text: str) -> str:
    """Return a text as a name in snake case, empty if nothing is left of it."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def in_aws_url(url: str) -> str:
    """Return a URL with the bare words of AWS's documents marked as what they are, placeholders."""
    scheme, _, rest = url.partition("://")
    parts = re.split(r"([./])", rest)
    return f"{scheme}://" + "".join(f"<{_AWS_WORDS[part]}>" if part in _AWS_WORDS else part for part in parts)


def _is_prose(text: str) -> bool:
    return len(text) > 200 or re.search(r"\s", _MUSTACHE.sub("", _ANGLE.sub("", text))) is not None
