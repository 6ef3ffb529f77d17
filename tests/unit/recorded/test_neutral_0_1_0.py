"""The recording names no machine, and each of its files is read by a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.recorded import Recording

RECORDING = Recording("0.1.0")
FILES = sorted(RECORDING.folder.rglob("*.json"))
OF_A_MACHINE = re.compile(r"/(?:tmp|home|root|work|Users|var)/|BEGIN (?:RSA )?PRIVATE|@[a-z]+\.(?:com|org)")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_holds_no_path_of_a_machine(path: Path) -> None:
    assert OF_A_MACHINE.search(path.read_text()) is None


def test_each_file_is_described() -> None:
    told = (RECORDING.folder / "README.md").read_text()
    names = {path.relative_to(RECORDING.folder).as_posix() for path in FILES}
    assert {name for name in names if f"`{name}`" not in told and not name.startswith("airflow-domain/")} == set()
    assert len(names) > 8
