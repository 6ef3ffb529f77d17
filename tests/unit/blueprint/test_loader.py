from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from opensearch_ml.blueprint import loader as documents
from opensearch_ml.blueprint.loader import MAX_VALUES, Unreadable
from tests.support.examples import CANARY
from tests.support.repository import REPOSITORY


class Read(Protocol):
    """Reads a file of this text; returns what it says."""

    def __call__(self, text: str | bytes, name: str = "a.yaml") -> Any: ...


class Refused(Protocol):
    """Reads a file of this text, which cannot be read; returns how that is told."""

    def __call__(self, text: str | bytes, name: str = "a.yaml") -> str: ...


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def written(text: str | bytes, name: str = "a.yaml") -> Any:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return documents.read(path).content

    return written


@pytest.fixture
def unreadable(read: Read) -> Refused:
    def refused(text: str | bytes, name: str = "a.yaml") -> str:
        with pytest.raises(Unreadable) as caught:
            read(text, name)
        assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
        assert caught.value.__context__ is None or caught.value.__suppress_context__
        return f"{caught.value.finding.where}: {caught.value.finding}"

    return refused


def test_yaml_has_jsons_types_and_no_more(read: Read) -> None:
    assert read(
        "{text: NO, date: 2024-02-01, time: 16:9, octal: 010, hex: 0x1f, under: 1_0, yes: yes, off: off, sign: +1, "
        "int: -3, float: 1.5, exp: 1e3, true: true, nothing: null, tilde: ~, empty: , quoted: '7'}"
    ) == {
        "text": "NO",
        "date": "2024-02-01",
        "time": "16:9",
        "octal": "010",
        "hex": "0x1f",
        "under": "1_0",
        "yes": "yes",
        "off": "off",
        "sign": "+1",
        "int": -3,
        "float": 1.5,
        "exp": 1000.0,
        True: True,
        "nothing": None,
        "tilde": None,
        "empty": None,
        "quoted": "7",
    }


def test_anchors_aliases_and_merges_are_fine(read: Read) -> None:
    text = "base: &b {a: 1, b: 2}\none: {<<: *b, b: 3}\ntwo: [*b, *b]\nthree: {<<: [*b, {c: 4}]}"
    assert read(text) == {
        "base": {"a": 1, "b": 2},
        "one": {"a": 1, "b": 3},
        "two": [{"a": 1, "b": 2}, {"a": 1, "b": 2}],
        "three": {"a": 1, "b": 2, "c": 4},
    }


def test_an_empty_file_is_an_empty_document(read: Read) -> None:
    assert read("") is None
    assert read("# nothing yet\n") is None


def test_a_byte_order_mark_is_no_part_of_the_document(read: Read) -> None:
    assert read(b"\xef\xbb\xbfa: 1") == {"a": 1}
    assert read(b'\xef\xbb\xbf{"a": 1}', "a.json") == {"a": 1}


def test_json_with_tabs_and_escaped_surrogates_is_read(read: Read) -> None:
    assert read('{\n\t"a": "\\ud83d\\ude00 \\/"\n}', "a.json") == {"a": "\U0001f600 /"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"a: [1\nkey: {CANARY}", "line 2: file: is not valid YAML in column 4"),
        (f"a: 'x\nkey: {CANARY}", "is not valid YAML in column 57 (found unexpected end of stream)"),
        (
            f"ok: 1\nkey: x: {CANARY}",
            "line 2: file: is not valid YAML in column 7 (mapping values are not allowed here)",
        ),
        (f"key: *{CANARY}", "line 1: file: is not valid YAML in column 6 (found undefined alias '…')"),
        (f"key: !{CANARY} x", "is not valid YAML in column 6 (could not determine a constructor for the tag '…')"),
        (f"key: !!{CANARY} x", "is not valid YAML in column 6 (could not determine a constructor for the tag '…')"),
        (f"key: @{CANARY}", "found character '@' that cannot start any token"),
        (f"key: !!int {CANARY}", "file: holds a value that is not of its tag"),
        (f"? [{CANARY}]\n: 1", "found unhashable key"),
        (f"key: \x07{CANARY}", "line 1: file: holds a character that YAML does not allow (character 6)"),
        (f"a: 1\n---\nkey: {CANARY}", "line 2: file: is not valid YAML in column 1"),
        (f"{CANARY}: 1\n{CANARY}: 2", "line 2: file: a key was given before, in line 1"),
        ("a: 1\nb: {c: 1,\n c: 2}", "line 3: file: key c was given before, in line 2"),
        ("a: &a [*a]", "found unconstructable recursive node"),
        ("a: !!python/object/apply:os.system [x]", "tag:yaml.org,2002:python/object/apply:os.system"),
        ("a: !!timestamp 2024-01-01", "is not valid YAML"),
        ("a: !!binary eA==", "is not valid YAML"),
        ("a: !!set {x}", "is not valid YAML"),
        ("- " * 5000, "file: is nested too deeply"),
        ("a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)), "is nested too deeply"),
    ],
)
def test_broken_yaml_is_told_by_its_place_and_never_by_its_text(unreadable: Refused, text: str, where: str) -> None:
    assert where in unreadable(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f'{{"a": 1,\n "key" "{CANARY}"}}', "line 2: file: is not valid JSON in column 8 (Expecting ':' delimiter)"),
        (f'{{"a": "{CANARY}', "is not valid JSON in column 7 (Unterminated string starting at)"),
        (f'{{"a": 1,\n\n"a": "{CANARY}"}}', "line 3: file: key a was given before, in line 1"),
        ('{"a": NaN}', "file: holds NaN, which is no number in JSON"),
        ("", "line 1: file: is not valid JSON in column 1 (Expecting value)"),
        ("[" * 100_000, "file: is nested too deeply"),
    ],
)
def test_broken_json_is_told_by_its_place_and_never_by_its_text(unreadable: Refused, text: str, where: str) -> None:
    assert where in unreadable(text, "a.json")


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_text_that_is_not_utf8_is_told(unreadable: Refused, name: str) -> None:
    assert unreadable(f"a: {CANARY}".encode("utf-16"), name) == "file: file: is not UTF-8 text. Correct the file."
    assert "is not UTF-8 text" in unreadable("a: ü".encode("latin-1"), name)


def test_a_few_lines_that_stand_for_millions_of_values_are_refused(unreadable: Refused) -> None:
    levels = ["x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    levels += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert f"stands for more than {MAX_VALUES} values" in unreadable("\n".join(levels))


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        documents.read(tmp_path / "absent.yaml")
    assert str(caught.value.finding) == "file: cannot be read (No such file or directory). Correct the file."


AS_YAML = """\
connector:
  name: a

  actions:
    - url: b
      headers: {x: 1,
                y: 2}
    -
      url: >
        c
"""
AS_JSON = """{
"connector": {"name": "a",

    "actions": [
    {"url": "b: {[,",
      "headers": {"x": 1,
                "y": "\\" \\n"}},
    {
      "url": "c"}, [], 1.5, true
]}
}
"""


def test_every_field_of_yaml_has_its_line() -> None:
    assert documents.parse(AS_YAML).lines == {
        "connector": 1,
        "connector.name": 2,
        "connector.actions": 4,
        "connector.actions.0": 5,
        "connector.actions.0.url": 5,
        "connector.actions.0.headers": 6,
        "connector.actions.0.headers.x": 6,
        "connector.actions.0.headers.y": 7,
        "connector.actions.1": 9,
        "connector.actions.1.url": 9,
    }


def test_every_field_of_json_has_its_line() -> None:
    assert documents.parse(AS_JSON, is_json=True).lines == {
        "": 1,
        "connector": 2,
        "connector.name": 2,
        "connector.actions": 4,
        "connector.actions.0": 5,
        "connector.actions.0.url": 5,
        "connector.actions.0.headers": 6,
        "connector.actions.0.headers.x": 6,
        "connector.actions.0.headers.y": 7,
        "connector.actions.1": 8,
        "connector.actions.1.url": 9,
        "connector.actions.2": 9,
        "connector.actions.3": 9,
        "connector.actions.4": 9,
    }


def test_lines_of_json_are_counted_by_line_feeds_alone() -> None:
    lines = documents.parse('{\r\n\t"a": "\u2028\x85\ufeff",\r\n\t"b": 1}', is_json=True).lines
    assert lines == {"": 1, "a": 2, "b": 3}


def test_what_an_alias_brings_has_the_line_where_it_stands() -> None:
    text = "base: &base\n  a: 1\n  b: 2\none:\n  <<: *base\n  b: 3\ntwo: *base\n"
    lines = documents.parse(text).lines
    assert {path: lines[path] for path in ("one", "one.a", "one.b", "two", "two.a")} == {
        "one": 4,
        "one.a": 2,
        "one.b": 6,
        "two": 7,
        "two.a": 2,
    }


def test_keys_with_dots_are_not_taken_for_one_another() -> None:
    assert documents.parse('{"a.b": 1, "a": {"b": 2}}', is_json=True).content == {"a.b": 1, "a": {"b": 2}}


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="this PyYAML has no libyaml")
def test_libyaml_reads_what_pyyaml_reads() -> None:
    quick_loader = documents._QuickLoader
    assert quick_loader is not None
    chance = random.Random(7)  # noqa: S311 (a test's texts are no secret)
    texts = [path.read_text()[:300] for path in sorted((REPOSITORY / "include" / "blueprints").glob("*.yaml"))]
    pieces = [*" \n:-?#[]{},&*!|>'\"%@`~a1.\\", "\n---\n", "<<: ", "&a ", "*a", "!!str "]
    both = 0
    for _ in range(1500):
        text = chance.choice(texts)
        for _ in range(chance.randint(0, 3)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice([*pieces, ""]) + text[at + chance.randint(0, 3) :]
        quick, slow = _read_by(quick_loader, text), _read_by(documents._Loader, text)
        if quick and slow:
            assert quick == slow, text
            both += 1
    assert both > 500


def _read_by(
    loader: Callable[[str], documents._Loader | yaml.CSafeLoader], text: str
) -> tuple[Any, dict[str, int]] | None:
    try:
        node, content = documents._document(loader(text))
        return content, dict(documents._yaml_lines(node)) if node else {}
    except (yaml.YAMLError, ValueError, Unreadable):
        return None
