r"""Painless, as far as a pasted document breaks it: quotes, brackets, escapes and line breaks.

The server compiles a script at the first predict, not before. Its texts know two escapes, ``\\`` and the quote that the
text begins with; so one level of escaping too many or too few does not compile.
Source: PainlessLexer.g4 of OpenSearch, rule STRING.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"""|(?P<text>"(?:\\[\\"]|[^\\"])*"|'(?:\\[\\']|[^\\'])*')"""
    r"|(?P<placeholder>\$\{parameters\.[^}]*\})"
    r"|(?P<word>[A-Za-z0-9_]+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
REGEX = re.compile(r"/(?:\\[^\n]|[^\n/\\])+/[a-zA-Z]*")
ANY_ESCAPE = re.compile(r"""(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\])*(?P=quote)""", re.DOTALL)
ENTITY = re.compile(r"&(?:quot|apos|amp|lt|gt|#\d+|#x[0-9a-fA-F]+);")
PAIRS = {")": "(", "]": "[", "}": "{"}
AFTER_TEXT = ("instanceof", "in")  # the only words that may follow a text
BEFORE_REGEX = set("(,=~!&|?:{};[+") | {""}


def problem(script: str) -> str | None:
    """Tell what keeps a script from being compiled, or None; for the first such place.

    :return: what is wrong, without the script's text.
    """
    return next(_problems(script), None)


def _problems(script: str) -> Iterator[str]:
    brackets: list[str] = []
    position, before, swallowed = 0, "", False
    while position < len(script):
        if script[position] == "/" and before in BEFORE_REGEX and script[position + 1 : position + 2] not in ("/", "*"):
            token = REGEX.match(script, position) or TOKEN.match(script, position)
        else:
            token = TOKEN.match(script, position)
        assert token  # noqa: S101 (the last alternative matches anything)
        kind, text = token.lastgroup or "regex", token[0]
        if kind == "text" and text in ('""', "''") and script[token.end() : token.end() + 1] == text[0]:
            yield "has three quotes in a row, which Dev Tools takes around a script and Painless does not"
        if before == "text" and kind in ("text", "word") and text not in AFTER_TEXT:
            yield "has a text right after a text: the quotes inside of one need a backslash"
        if kind == "comment" and text.startswith("//"):
            swallowed |= "\n" not in script.strip() and "return" in text
        if kind == "other":
            yield from _other(script, position)
            if text in PAIRS.values():
                brackets.append(text)
            elif text in PAIRS and (not brackets or brackets.pop() != PAIRS[text]) and not swallowed:
                yield f"has a {text} that closes nothing"
        if kind not in ("space", "comment"):
            before = text if kind == "other" else kind
        position = token.end()
    if swallowed:
        yield "is one line, and its // comment takes the rest with it: the line breaks were lost"
    if brackets:
        yield f"has a {brackets[-1]} that is never closed"


def _other(script: str, position: int) -> Iterator[str]:
    character = script[position]
    if character in "\"'":
        if ANY_ESCAPE.match(script, position):
            yield "has an escape in a text that is neither \\\\ nor its quote: escaped once too often or too seldom"
        else:
            yield "has a text whose quote is never closed"
    elif script.startswith("/*", position):
        yield "has a comment that is never closed"
    elif character == "\\":
        yield "has a backslash outside of a text: its line breaks or quotes were escaped once too often"
    elif character == "&" and ENTITY.match(script, position):
        yield "has an HTML entity such as &quot; where the character itself belongs"
    elif character in "`#@" or not character.isascii():
        yield "has a character outside of a text that Painless does not know, such as a typographic quote"
