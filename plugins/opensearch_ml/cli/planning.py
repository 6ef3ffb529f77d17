"""``python -m opensearch_ml plan``: what a reconciliation would change on a target's cluster. Nothing is written.

It reaches the cluster by the target's Airflow connection, so it runs where Airflow is installed, and imports it late.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.cli.places import BLUEPRINTS
from opensearch_ml.errors import OpenSearchMLError
from opensearch_ml.reconcile import render, report
from opensearch_ml.reconcile.limits import Limits, too_much

if TYPE_CHECKING:
    from opensearch_ml.resources.changes import Plan

NOTHING, ERROR, CHANGES = 0, 1, 2
NARROWEST, WIDEST = 80, 120
PROCESS = "_AIRFLOW_PROCESS_CONTEXT"
FORMATS = ("text", "json", "markdown")


class _Untold(Exception):  # noqa: N818
    """Why there is no plan."""


def run(
    target_name: str, targets: Path | None, blueprints: Path | None, format_name: str, aws_conn_id: str | None
) -> int:
    """Print the plan of a target.

    :param targets: folder; default: this Airflow's.
    :param blueprints: folder; default: beside the targets given, else this Airflow's.
    :param aws_conn_id: who asks AWS; default: whom the target names.
    :return: 0 nothing would change, 2 something would, 1 it could not be told, for all or for some.
    """
    try:
        with redirect_stdout(sys.stderr):  # Airflow logs there, from its import on
            told, code = _planned(target_name, targets, blueprints, format_name, aws_conn_id)
    except _Untold as untold:
        print(f"python -m opensearch_ml plan: {untold}", file=sys.stderr)
        return ERROR
    print(told)
    return code


def _planned(
    target_name: str, targets: Path | None, blueprints: Path | None, format_name: str, aws_conn_id: str | None
) -> tuple[str, int]:
    try:
        from opensearch_ml.catalog import folders
        from opensearch_ml.hook import OpenSearchMLHook
        from opensearch_ml.reconcile.planning import plan_for
    except ModuleNotFoundError as error:
        why = f"plan reaches the cluster by an Airflow connection, and {sys.executable} lacks {error.name}"
        fix = "run it with the Python that Airflow runs with; validate and render need neither"
        raise _Untold(f"{why}\n  fix: {fix}") from None
    try:
        catalog = _catalog(folders.catalog(), targets, blueprints)
        target, names = catalog.fleet(target_name)
        hook = OpenSearchMLHook(target.opensearch_conn_id)
        admin = OpenSearchMLHook(target.opensearch_admin_conn_id) if target.opensearch_admin_conn_id else None
        asks = aws_conn_id or target.aws_conn_id
        with connections_of_airflow():
            planned = plan_for(hook, catalog, target, names, admin=admin, aws_conn_id=asks)
        where = f"{hook.base_url}, OpenSearch {planned.version}"
    except OpenSearchMLError as error:
        raise _Untold(str(error)) from None
    plan = planned.plan
    code = ERROR if plan.has_errors else NOTHING if plan.is_empty else CHANGES
    return hook.redact(_shown(plan, format_name, where)), code


@contextmanager
def connections_of_airflow() -> Iterator[None]:
    """Let Airflow look into its database too, as ``airflow connections get`` does; a task asks its API instead."""
    before = os.environ.get(PROCESS)
    os.environ[PROCESS] = before or "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[PROCESS]


def _catalog(of_airflow: Catalog, targets: Path | None, blueprints: Path | None) -> Catalog:
    if targets is None:
        return Catalog(blueprints or of_airflow.blueprints_folder, of_airflow.targets_folder)
    return Catalog(blueprints or Path(os.path.normpath(targets / ".." / BLUEPRINTS)), targets)


def _shown(plan: Plan, format_name: str, where: str) -> str:
    if format_name == "json":
        return json.dumps(render.whole(plan), indent=2, ensure_ascii=False)
    if format_name == "markdown":
        return render.markdown(plan)
    width = min(max(shutil.get_terminal_size((WIDEST, 40)).columns, NARROWEST), WIDEST)
    told = [f"Target {plan.target} ({where})", "", render.text(plan, width=width), *_of_a_run(plan)]
    return "\n".join(told)


def _of_a_run(plan: Plan) -> Iterator[str]:
    """Yield what a run with the DAG's own parameters would not do with the plan."""
    if told := report.orphans(plan, prune=False):
        yield f"{told}."
    for prune in (False, True):
        if refusal := too_much(plan, Limits(), prune=prune):
            yield f"{'With prune, ' * prune}{refusal.cause}."
            return
