"""``import``: blueprints of a documentation page, shown, or written into a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from opensearch_ml.cli.places import FINDINGS, OK, UnusableArgument
from opensearch_ml.importing import from_docs
from opensearch_ml.importing.from_docs import Imported

SCHEMA = Path("schema", "blueprint.schema.json")


def run(file: str, name: str | None, folder: Path | None) -> int:
    """Import what a file shows; tell on standard error what a person still has to do.

    :param file: ``-`` for standard input.
    :param name: the blueprint's name, or None.
    :param folder: where to write a file for each blueprint; None writes to standard output.
    :return: the exit code: 1 if there is nothing to import, or something of it is to be mended.
    :raises UnusableArgument: no such file or folder, or a file would be overwritten.
    """
    try:
        imported = from_docs.import_text(_text(file), name=name)
    except from_docs.NothingToImport as error:
        print(error, file=sys.stderr)
        return FINDINGS
    show(imported, folder)
    for one in imported:
        for note in one.notes:
            print(f"{one.name}: {note}", file=sys.stderr)
    return OK if all(one.is_valid for one in imported) else FINDINGS


def show(imported: Sequence[Imported], folder: Path | None) -> None:
    """Write a file for each blueprint, none over another.

    :param folder: None writes all to standard output.
    :raises UnusableArgument: no such folder, or a file would be overwritten.
    """
    if folder is None:
        print("---\n".join(f"# {one.name}.yaml\n{one.yaml_text}" for one in imported), end="")
    else:
        _write(imported, folder)


def _text(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise UnusableArgument(f"{file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UnusableArgument(f"{file} is not UTF-8 text") from None


def _write(imported: Sequence[Imported], folder: Path) -> None:
    if not folder.is_dir():
        raise UnusableArgument(f"there is no folder {folder}")
    paths = {folder / f"{one.name}.yaml": one for one in imported}
    if there := [str(path) for path in paths if path.exists()]:
        raise UnusableArgument(f"{', '.join(there)} is there already; remove it, or give another --name or --to")
    schema = f"# yaml-language-server: $schema=../{SCHEMA.as_posix()}\n" if (folder.parent / SCHEMA).is_file() else ""
    for path, one in paths.items():
        path.write_text(schema + one.yaml_text, encoding="utf-8")
        print(f"wrote {path}")
