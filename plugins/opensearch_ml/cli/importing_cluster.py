"""``import --from-cluster``: blueprints of what others made on a cluster, shown, or written into a folder.

It reaches the cluster by an Airflow connection, so it runs where Airflow is installed, and imports it late.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch_ml.base.secret_patterns import printable
from opensearch_ml.blueprint import writer
from opensearch_ml.catalog import catalog
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.cli import importing
from opensearch_ml.cli.places import FINDINGS, OK, UnusableArgument
from opensearch_ml.cli.planning import connections_of_airflow
from opensearch_ml.errors import OpenSearchMLError

if TYPE_CHECKING:
    from opensearch_ml.importing.from_cluster import Others

DEFAULT_CONNECTION = "opensearch_default"


def run(
    target_name: str | None,
    targets: Path | None,
    conn_id: str | None,
    patterns: Sequence[str],
    folder: Path | None,
) -> int:
    """Import what others made on a cluster; tell on standard error what a person still has to do.

    :param target_name: the target whose cluster it is; None: that of `conn_id`.
    :param targets: folder; default: this Airflow's.
    :param patterns: names or ids of what is meant, or globs; none: all.
    :param folder: where to write a file for each blueprint; None writes to standard output.
    :return: the exit code: 1 if there is nothing to import, or something of it is to be mended.
    :raises UnusableArgument: no such target or folder, or a file would be overwritten.
    """
    if folder is not None and not folder.is_dir():
        raise UnusableArgument(f"there is no folder {folder}")  # before anybody is asked
    with redirect_stdout(sys.stderr):  # Airflow logs there, from its import on
        found, where = _looked(target_name, targets, conn_id, patterns)
    if found.blueprints:
        importing.show(found.blueprints, folder)
        print("\n".join(_for_the_target(found, target_name)))
    for told in _left_to_do(found, where, target_name):
        print(printable(told), file=sys.stderr)
    return OK if found.blueprints and all(one.is_valid for one in found.blueprints) else FINDINGS


def _looked(
    target_name: str | None, targets: Path | None, conn_id: str | None, patterns: Sequence[str]
) -> tuple[Others, str]:
    try:
        from opensearch_ml.catalog import folders
        from opensearch_ml.hook import OpenSearchMLHook
        from opensearch_ml.importing.from_cluster import look_at_others
    except ModuleNotFoundError as error:
        why = f"--from-cluster reaches the cluster by an Airflow connection, and {sys.executable} lacks {error.name}"
        raise UnusableArgument(f"{why}; run it with the Python that Airflow runs with") from None
    try:
        if target_name:
            of_airflow = folders.catalog()
            used = Catalog(of_airflow.blueprints_folder, targets or of_airflow.targets_folder)
            conn_id = catalog.read_target(used.target_file(target_name)).opensearch_conn_id
        hook = OpenSearchMLHook(conn_id or DEFAULT_CONNECTION)
        with connections_of_airflow():
            found = look_at_others(hook, patterns)
        return found, f"{hook.base_url}, OpenSearch {'.'.join(map(str, hook.version))}"
    except OpenSearchMLError as error:
        raise UnusableArgument(str(error)) from None


def _for_the_target(found: Others, target_name: str | None) -> Iterator[str]:
    names = [one.name for one in found.blueprints]
    lines = writer.text_of({"blueprints": names, **({"adopt": dict(found.adopt)} if found.adopt else {})})
    yield f"---\n# Add these to {_file_of(target_name)}:\n{lines}".rstrip()


def _left_to_do(found: Others, where: str, target_name: str | None) -> Iterator[str]:
    for one in found.blueprints:
        for note in one.notes:
            yield f"{one.name}: {note}"
    if found.credentials:
        yield "A cluster never shows a credential. The blueprints take it from these Airflow connections:"
    for conn_id, fields in sorted(found.credentials.items()):
        for field, keys in fields.items():
            yield f"  {conn_id}, {field}: {', '.join(keys)}"
        if any(len(keys) > 1 for keys in fields.values()):
            yield "    taken to be the same key; where it is another, give that blueprint a connection of its own"
    for told in found.left_out:
        yield f"left out: {told}"
    if not found.blueprints:
        yield f"nothing to import from {where}"
        return
    connections = "create the connections that are missing, " if found.credentials else ""
    then = f"python -m opensearch_ml plan --target {target_name or 'NAME'}"
    yield f"Next: add the entries above to {_file_of(target_name)}, {connections}and see the plan: {then}"


def _file_of(target_name: str | None) -> str:
    return f"targets/{target_name}.yaml" if target_name else "the target of this cluster"
