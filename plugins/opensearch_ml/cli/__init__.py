"""The command line: ``python -m opensearch_ml validate|render|import|schema|plan``, for authors and for pull requests.

It needs pydantic and PyYAML, imports no Airflow, and reaches no network; but for ``plan`` and ``import
--from-cluster``, which look at a cluster.
Exit codes: 0 nothing found, 1 findings, 2 the command itself cannot be carried out, 141 nobody read to the end.
Those of ``plan``: 0 nothing would change, 2 something would, 1 it could not be told.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.checks import versions
from opensearch_ml.cli import places, planning, reports
from opensearch_ml.cli.places import FINDINGS, OK, USAGE, Place, UnusableArgument

__all__ = ["main"]

PROGRAM = "opensearch-ml-blueprint"
CUT_OFF = 128 + 13  # as a shell has it of what ends by SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    :param arguments: without the program's name. Default: those of this process.
    :return: the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal need not know every character of a file
    parser = _parser()
    given = _given(parser, arguments)
    try:
        code = int(given.command(given))
        sys.stdout.flush()
    except UnusableArgument as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # Whoever read (head, a pager) has seen enough; what is left must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    return code


def _given(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser.parse_args(arguments)
    except SystemExit as ended:
        words = sys.argv[1:] if arguments is None else arguments
        if ended.code == USAGE and "plan" in words[:1]:
            raise SystemExit(1) from None  # where 2 says that something would change
        raise


def _parser() -> argparse.ArgumentParser:
    program = PROGRAM if Path(sys.argv[0]).stem == PROGRAM else "python -m opensearch_ml"
    parser = argparse.ArgumentParser(
        prog=program, description="Blueprints, checked and shown; and what a cluster lacks."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    validate = commands.add_parser("validate", help="check blueprints and targets; exit code 1 if anything is wrong")
    validate.add_argument("files", nargs="+", metavar="FILE", help="a blueprint, a target, or a folder of them")
    validate.add_argument("--format", choices=sorted(reports.FORMATS), default="text", help="default: text")
    _add_place(validate)
    validate.set_defaults(command=_validate)

    render = commands.add_parser("render", help="show the requests that provisioning sends, secrets as references")
    render.add_argument("file", metavar="FILE", help="a blueprint")
    render.add_argument("--format", choices=["http", "json"], default="http", help="default: http")
    _add_place(render)
    render.set_defaults(command=_render)

    importing = commands.add_parser("import", help="make blueprints of documentation, or of what is on a cluster")
    importing.add_argument("file", nargs="?", metavar="FILE", help="Markdown, JSON or curl; - reads standard input")
    importing.add_argument(
        "--name",
        action="append",
        metavar="NAME",
        help="the blueprint's name, else made of the connector's own; of a cluster, take only what has this name or id "
        "(a glob; may be given again)",
    )
    importing.add_argument("--to", type=Path, metavar="FOLDER", help="write files there, none over another")
    cluster = importing.add_argument_group("what others made on a cluster; needs Airflow, writes nothing there")
    cluster.add_argument("--from-cluster", action="store_true", help="in the place of FILE")
    cluster.add_argument("--target", metavar="NAME", help="the target whose cluster it is")
    cluster.add_argument("--targets", type=Path, metavar="FOLDER", help="default: this Airflow's targets_folder")
    cluster.add_argument("--conn-id", metavar="ID", help="without --target: its connection, else opensearch_default")
    importing.set_defaults(command=_import)

    plan = commands.add_parser(
        "plan", help="show what would change on a target's cluster; needs Airflow, writes nothing"
    )
    plan.add_argument("--target", metavar="NAME", required=True, help="the target, whose file names its blueprints")
    plan.add_argument("--targets", type=Path, metavar="FOLDER", help="default: this Airflow's targets_folder")
    plan.add_argument(
        "--blueprints", type=Path, metavar="FOLDER", help="default: beside --targets, else this Airflow's"
    )
    plan.add_argument("--format", choices=planning.FORMATS, default="text", help="default: text")
    plan.add_argument("--aws-conn-id", metavar="ID", help="who asks AWS; default: who signs, else aws_default")
    plan.set_defaults(command=_plan)

    json_schema = commands.add_parser("schema", help="print the JSON Schema of blueprints, for editors")
    json_schema.set_defaults(command=_schema)
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_argument_group("where the blueprint is for")
    place.add_argument("--target", metavar="NAME", help="the target that gives variables their values")
    place.add_argument("--targets", type=Path, metavar="FOLDER", help="default: targets, beside the blueprints' folder")
    place.add_argument(
        "--domain-arn", type=_domain_arn, metavar="ARN", help="the domain that gives region, account_id and the like"
    )
    place.add_argument(
        "--opensearch", type=_version, metavar="VERSION", help="the cluster's version: what it does not know is found"
    )


def _validate(given: argparse.Namespace) -> int:
    place = Place(given.target, given.targets, given.domain_arn, given.opensearch)
    files = places.files_of(given.files)
    files = list(dict.fromkeys([*files, *filter(None, map(place.target_file, files))]))
    found = [(file, finding) for file in files for finding in place.findings(file)]
    text = reports.FORMATS[given.format](found, len(files))
    if text:
        print(text)
    if given.opensearch and given.opensearch[:2] > versions.NEWEST:
        print(versions.beyond(given.opensearch), file=sys.stderr)
    if note := reports.not_judged(place.not_judged, place.skipped):
        print(note, file=sys.stderr)
    return FINDINGS if found else OK


def _render(given: argparse.Namespace) -> int:
    from opensearch_ml.cli import render

    place = Place(given.target, given.targets, given.domain_arn, given.opensearch, needs_values=True)
    files = places.files_of([given.file], folders=False)
    if place.is_target(files[0]):
        raise UnusableArgument(f"{files[0]} is a target's file; give a blueprint's")
    files += filter(None, map(place.target_file, files))
    found = [(file, finding) for file in files for finding in place.findings(file)]
    blueprint, _ = place.blueprint(files[0])
    if found or blueprint is None:
        print(reports.text(found, len(files)), file=sys.stderr)
        return FINDINGS
    print(render.FORMATS[given.format](render.requests(blueprint, place.target(files[0]))))
    return OK


def _import(given: argparse.Namespace) -> int:
    of_cluster = [one for one in ("target", "targets", "conn_id") if getattr(given, one) is not None]
    if given.from_cluster:
        from opensearch_ml.cli import importing_cluster

        if given.file is not None or (given.target and given.conn_id):
            raise UnusableArgument("--from-cluster takes the place of FILE, and --target that of --conn-id; give one")
        return importing_cluster.run(given.target, given.targets, given.conn_id, given.name or (), given.to)
    if given.file is None or of_cluster:
        raise UnusableArgument("import needs a FILE, or --from-cluster, with which --target and --conn-id go")
    if given.name and len(given.name) > 1:
        raise UnusableArgument("--name is given twice; a page's blueprints have one")
    from opensearch_ml.cli import importing

    return importing.run(given.file, given.name[0] if given.name else None, given.to)


def _plan(given: argparse.Namespace) -> int:
    return planning.run(given.target, given.targets, given.blueprints, given.format, given.aws_conn_id)


def _schema(_: argparse.Namespace) -> int:
    from opensearch_ml.catalog import json_schema

    print(json.dumps(json_schema.of_blueprints(), indent=2, ensure_ascii=False))
    return OK


def _version(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError("is no version; write it like 2.19.1 or 3.6")
    return tuple(map(int, text.split(".")))


def _domain_arn(text: str) -> DomainArn:
    try:
        return DomainArn.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
