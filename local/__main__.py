"""The embedded stack from the command line, ``python -m local COMMAND``; `make` calls this."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from local.demo import run_demo, run_domain_demo
from local.distribution import VERSIONS
from local.domain_stack import DOMAIN_FOLDER, DomainStack
from local.errors import LocalStackError
from local.fleet_demo import run_fleet_demo
from local.rotation_demo import run_rotation_demo
from local.server_process import ServerStartError
from local.stack import Stack

RUN = "run COMMAND … starts any command with the connections, the secrets and the folders that the demo's Airflow has"
NO_SUCH_COMMAND = 127  # as a shell has it


def main() -> int:
    """Do what the command line says.

    :return: exit code: 0 only if all of it worked; for ``status``, 0 only if all of it runs.
    """
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__, epilog=RUN)
    parser.add_argument(
        "command", choices=["up", "demo", "demo-rotate", "demo-fleet", "run", "status", "down", "reset"]
    )
    parser.add_argument("--opensearch", choices=VERSIONS, help="version of OpenSearch (default: the one used last)")
    parser.add_argument("--domain", action="store_true", help="as Amazon OpenSearch Service, with an AWS account")
    own, words = _parted(sys.argv[1:])
    given = parser.parse_args(own)
    if given.command == "run" and not words:
        parser.error(RUN)
    stack = DomainStack(DOMAIN_FOLDER, version=given.opensearch) if given.domain else Stack(version=given.opensearch)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # what is half started must be stopped then too
        signal.signal(ending, signal.default_int_handler)
    try:
        if given.command == "status":
            return _status(stack) if given.domain else _status_of_all(stack, DomainStack(DOMAIN_FOLDER))
        if given.command == "demo":
            run_domain_demo(stack) if isinstance(stack, DomainStack) else run_demo(stack)
        elif given.command == "demo-rotate":
            run_rotation_demo(stack)
        elif given.command == "demo-fleet":
            run_fleet_demo(stack)
        elif given.command == "run":
            return _run(stack, words)
        else:
            {"up": stack.up, "down": stack.down, "reset": stack.reset}[given.command]()
        if given.command == "up":
            _status(stack)
    except (LocalStackError, ServerStartError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: what works by now stays up, `make down` ends it", file=sys.stderr)
        return 130
    return 0


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return our own arguments, and the command after ``run``, whose options are not ours."""
    at = arguments.index("run") + 1 if "run" in arguments else len(arguments)
    words = arguments[at:]
    return arguments[:at], words[1:] if words[:1] == ["--"] else words


def _run(stack: Stack, words: list[str]) -> int:
    """Become another command, in the environment of the stack's Airflow; return only if there is no such command."""
    environment = stack.command_environment()
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606 (it is what the user asked for)
    except OSError as error:
        print(f"python -m local run: {words[0]}: {error.strerror}", file=sys.stderr)
        return NO_SUCH_COMMAND


def _status_of_all(stack: Stack, domain_stack: DomainStack) -> int:
    """Tell of the domain's stack too if any of it runs; of the other one unless only the domain's does."""
    stacks = [one for one in (stack, domain_stack) if one.running()] or [stack]
    codes = []
    for one in stacks:
        if one is domain_stack:
            print("as Amazon OpenSearch Service (make demo-domain):")
        codes.append(_status(one))
    return max(codes)


def _status(stack: Stack) -> int:
    running = stack.running()
    names = ("opensearch", *stack.handles)
    airflow = stack.airflow
    unhealthy = airflow.unhealthy() if airflow else []
    told = {}
    if "opensearch" in running:
        login = f"login {stack.opensearch.admin_user}, password {stack.opensearch.admin_password}"
        told["opensearch"] = [login, f"CA {stack.opensearch.ca_path}"]
    if airflow:
        told["airflow"] = [f"login admin, password {airflow.password}"]
        told["airflow"] += [f"does not work: {name}" for name in unhealthy]
    for name in names:
        print(f"{name:<16} {running.get(name, 'down')}")
        for line in told.get(name, ()):
            print(f"{'':<16} {line}")
    return 0 if len(running) == len(names) and not unhealthy else 1


if __name__ == "__main__":
    sys.exit(main())
