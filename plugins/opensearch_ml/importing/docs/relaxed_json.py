"""One JSON object as documentation writes it, read from the middle of any text; nothing is ever executed.

Beyond JSON: comments, trailing and missing commas, ``...`` for what is left out, Dev Tools' triple quotes (raw, as Dev
Tools takes them), single and typographic quotes, line breaks in texts, keys without quotes, and values without quotes
(``<YOUR KEY>``, ``{{key}}``, ``YOUR_KEY``). Python's literals too: True, None, prefixed and adjacent strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 60
MAX_LINE = 20_000  # characters of a comment, and of a line whose quotes are not escaped

_SPACE = re.compile(r"(?:[\s\u200b\ufeff]+|//[^\n]*|#[^\n]*|\\\\[^\n]*)*")
_LEFT_OUT = re.compile(r"\.{3,}|…")
_BARE_KEY = re.compile(r"[A-Za-z_$][\w$.-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?(?![\w.])")
_UNQUOTED = re.compile(r"\{\{[^{}\n]{1,100}\}\}|\$\{[^{}\n]{1,100}\}|<[^<>\n]{1,100}>")
_WORD = re.compile(r"[^\s,\[\]{}\"'\u201c\u201d:][^,\[\]{}\"'\u201c\u201d\n]*")
_EXPRESSION = re.compile(r"[A-Za-z_][\w.]*(?:\[[^\[\]\n]{0,100}\]|\([^()\n]{0,100}\))*")  # of Python; only named
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_OPENING = re.compile(r"(?P<prefix>[rRbBuUfF]{0,2})(?P<quote>\"\"\"|'''|[\"'\u201c\u201d\u201e\u2018\u2019`])")
_CLOSING = {
    "\u201c": '\u201d\u201c"',
    "\u201d": '\u201d"',
    "\u201e": '\u201d\u201c"',
    "\u2018": "\u2019'",
    "\u2019": "\u2019'",
}
_GOES_ON = re.compile(r"[\w$]")  # behind a closing quote there is no such thing
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""} | {
    one: one for one in "\"'\\/\u201c\u201d\u2018\u2019`"
}


class Unreadable(ValueError):  # noqa: N818 (it never leaves this package)
    """No object; `at` is how far the text was looked at, and the message says what was expected there."""

    def __init__(self, expected: str, at: int) -> None:
        super().__init__(expected)
        self.at = at


@dataclass(frozen=True, slots=True)
class Read:
    """An object of a text.

    :param end: where the text goes on.
    :param abridged: ``...`` stands for some of its fields or items.
    :param repaired: a text holds quotes that should have been escaped; it was read up to the last one of its line.
    :param repeated: keys that one object has twice; the last value is the one kept.
    """

    value: dict[str, Any]
    end: int
    abridged: bool
    repaired: bool
    repeated: tuple[str, ...]


def read(text: str, start: int, *, python: bool = False) -> Read:
    """Read the object that starts at a brace.

    :param python: the text is Python's, where three quotes are no raw text and bare words are names of variables.
    :raises Unreadable: there is none.
    """
    reader = _Reader(text, start, python)
    value = reader.object(MAX_DEPTH)
    return Read(value, reader.at, reader.abridged, reader.repaired, tuple(reader.repeated))


class _Reader:
    def __init__(self, text: str, at: int, python: bool) -> None:
        self.text, self.at, self.python = text, at, python
        self.abridged = self.repaired = False
        self.repeated: list[str] = []

    def object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self.at += 1
        while not self._ends("}"):
            key = self._key()
            self._space()
            if not self._take(":"):
                raise Unreadable("a colon after a key", self.at)
            self._space()
            if key in members:
                self.repeated.append(key)
            members[key] = self._value(depth - 1)
            self._separator()
        return members

    def _array(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        while not self._ends("]"):
            items.append(self._value(depth - 1))
            self._separator()
        return items

    def _ends(self, bracket: str) -> bool:
        self._space()
        while left_out := _LEFT_OUT.match(self.text, self.at):
            self.abridged, self.at = True, left_out.end()
            self._separator()
        return self._take(bracket)

    def _separator(self) -> None:
        self._space()
        if self._take(","):
            self._space()

    def _key(self) -> str:
        if _OPENING.match(self.text, self.at):
            return self._string()
        if bare := _BARE_KEY.match(self.text, self.at):
            self.at = bare.end()
            return bare[0]
        raise Unreadable("a key or a closing brace", self.at)

    def _value(self, depth: int) -> Any:
        if depth < 0:
            raise Unreadable(f"no more than {MAX_DEPTH} levels", self.at)
        if _OPENING.match(self.text, self.at):
            return self._strings()
        if unquoted := _UNQUOTED.match(self.text, self.at):
            self.at = unquoted.end()
            return unquoted[0]
        here = self.text[self.at : self.at + 1]
        if here == "{":
            return self.object(depth)
        if here == "[":
            return self._array(depth)
        if here == "(" and self.python:
            self.at += 1
            self._space()
            value = self._value(depth - 1)
            self._space()
            if not self._take(")"):
                raise Unreadable("a closing parenthesis", self.at)
            return value
        return self._word()

    def _word(self) -> Any:
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return self._number(number)
        pattern = _EXPRESSION if self.python else _WORD
        word = pattern.match(self.text, self.at)
        if not word:
            raise Unreadable("a value", self.at)
        self.at = word.end()
        told = re.split(r"\s+(?://|#|\\\\)", word[0])[0].strip()
        if told in _CONSTANTS:
            return _CONSTANTS[told]
        return f"<{re.sub(r'[^A-Za-z0-9]+', ' ', told).strip()}>" if self.python else told

    def _number(self, number: re.Match[str]) -> int | float:
        if not (number[1] or number[2]) and len(number[0]) < 400:
            return int(number[0])
        value = float(number[0])
        if value in (float("inf"), float("-inf")):
            raise Unreadable("a number that a computer can hold", self.at)
        return value

    def _strings(self) -> str:
        told = self._string()
        while self.python:
            end = self.at
            self._space()
            if not _OPENING.match(self.text, self.at):
                break
            more = self._string()
            self._space()
            if self.text.startswith(":", self.at):  # a key, before which a comma was lost
                self.at = end
                break
            told += more
        return told

    def _string(self) -> str:
        opening = _OPENING.match(self.text, self.at)
        if not opening:
            raise Unreadable("a text in quotes", self.at)
        quote, prefix, start = opening["quote"], opening["prefix"].lower(), opening.end()
        raw = "r" in prefix or (quote == '"""' and not self.python)
        end = self._closing(quote, start, raw)
        if quote == '"' and _GOES_ON.match(self.text, end + 1) and self.text[start : start + 1] in ("{", "["):
            end = self._last_quote_of_the_line(start, end)
        told, self.at = self.text[start:end], end + len(quote)
        if not raw:
            told = _ESCAPE.sub(_unescaped, told)
        if "f" in prefix:
            told = re.sub(r"(?<!\{)\{([^{}]+)\}(?!\})", r"<\1>", told).replace("{{", "{").replace("}}", "}")
        # A half of a character that JSON escapes as two cannot be written to any file.
        return told.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _last_quote_of_the_line(self, start: int, end: int) -> int:
        stop = self.text.find("\n", start, start + MAX_LINE)
        line = self.text[start : stop if stop >= 0 else start + MAX_LINE].rstrip(" \t,")
        if not line.endswith('"'):
            return end
        self.repaired = True
        return start + len(line) - 1

    def _closing(self, quote: str, start: int, raw: bool) -> int:
        if raw or len(quote) == 3:
            end = self.text.find(quote, start)
            if end >= 0:
                return end
        else:
            closing = re.escape(_CLOSING.get(quote, quote))
            inside = re.compile(rf"[^\\{closing}]*(?:\\.[^\\{closing}]*)*", re.DOTALL)
            end = inside.match(self.text, start).end()  # type: ignore[union-attr]  # it matches the empty text too
            if end < len(self.text) and self.text[end] != "\\":
                return end
        raise Unreadable("the end of a text in quotes", len(self.text))

    def _space(self) -> None:
        self._space_alone()
        while self.text.startswith("/*", self.at):
            end = self.text.find("*/", self.at + 2, self.at + MAX_LINE)
            if end < 0:
                raise Unreadable("the end of a comment", min(self.at + MAX_LINE, len(self.text)))
            self.at = end + 2
            self._space_alone()

    def _space_alone(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches the empty text too

    def _take(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        self.at += found
        return found


def _unescaped(escape: re.Match[str]) -> str:
    told = escape[1]
    if len(told) > 1:
        return chr(int(told[1:], 16))
    # "\." is no JSON, and whoever writes it means the regular expression.
    return _ESCAPED.get(told, escape[0])
