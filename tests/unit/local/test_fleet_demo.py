"""The fleet's demo, and commands in the environment of the demo's Airflow, as far as no server is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from local import __main__ as command_line
from local.errors import LocalStackError
from local.fleet_demo import blueprints_of, change_target, summary_in
from local.stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """One whose target somebody has added to."""
    made = Stack(tmp_path, say=lambda line: None)
    made.target_path.parent.mkdir()
    made.target_path.write_text("{blueprints: [mine, openai_chat], variables: {dimension: 384, mine: 1}, pool: p}")
    return made


def test_what_a_person_wrote_into_the_target_stays(stack: Stack) -> None:
    change_target(stack, blueprints=blueprints_of(stack, ["openai_chat", "new"]), variables={"dimension": 3, "a": 2})
    assert yaml.safe_load(stack.target_path.read_text()) == {
        "blueprints": ["mine", "openai_chat", "new"],
        "variables": {"dimension": 3, "mine": 1, "a": 2},
        "pool": "p",
    }


def test_the_summary_is_found_in_its_tasks_log() -> None:
    events = [{"event": "Task started"}, {"event": "local: 2 done; 1 unchanged\n  a  done"}, {"level": "info"}]
    log = "\n".join(["::group::Log", *map(json.dumps, events)])
    assert summary_in(log) == ["local: 2 done; 1 unchanged", "  a  done"]
    assert summary_in("") == []


@pytest.mark.parametrize(
    ("arguments", "own", "words"),
    [
        (["run", "airflow", "dags", "--help"], ["run"], ["airflow", "dags", "--help"]),
        (["--domain", "run", "--", "python", "run"], ["--domain", "run"], ["python", "run"]),
        (["up", "--opensearch", "2.19.1"], ["up", "--opensearch", "2.19.1"], []),
    ],
)
def test_a_commands_own_options_are_left_to_it(arguments: list[str], own: list[str], words: list[str]) -> None:
    assert command_line._parted(arguments) == (own, words)


def test_without_a_stack_there_is_no_environment_and_the_fix_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LocalStackError, match="make demo"):
        Stack(tmp_path).command_environment()
    monkeypatch.setattr(command_line, "Stack", lambda **given: Stack(tmp_path))
    monkeypatch.setattr("sys.argv", ["local", "run", "true"])
    monkeypatch.setattr(os, "execvpe", lambda *given: pytest.fail("it was started"))
    assert command_line.main() == 1
    assert "the demo's stack does not run" in capsys.readouterr().err


def test_a_command_has_what_the_stacks_airflow_has_and_nothing_of_another(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MINE", "http://another")
    runs = SimpleNamespace(url="https://127.0.0.1:9200", pids=[1], admin_user="a", admin_password="pw", ca_path="ca")
    monkeypatch.setattr(Stack, "opensearch", runs)
    monkeypatch.setattr(Stack, "airflow", SimpleNamespace(url="http://127.0.0.1:8081"))
    (stack.folder / "airflow").mkdir()
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda *given: started.append(given))
    command_line._run(stack, ["python", "-m", "opensearch_ml"])
    [(program, words, environment)] = started
    assert (program, words) == ("python", ["python", "-m", "opensearch_ml"])
    assert "AIRFLOW_CONN_MINE" not in environment
    assert json.loads(environment["AIRFLOW_CONN_OPENSEARCH_DEFAULT"])["password"] == "pw"
    kept = json.loads((stack.folder / "airflow" / "secrets.json").read_text())
    assert environment["AIRFLOW__CORE__FERNET_KEY"] == kept["fernet_key"]
    assert environment["AIRFLOW__OPENSEARCH_ML__TARGETS_FOLDER"] == str(stack.folder / "targets")
    assert capsys.readouterr().out == ""


def test_a_command_that_is_not_there_is_told_as_a_shell_does(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stack, "command_environment", lambda self: dict(os.environ))
    assert command_line._run(stack, ["no-such-command"]) == 127
    assert "no-such-command: No such file" in capsys.readouterr().err
