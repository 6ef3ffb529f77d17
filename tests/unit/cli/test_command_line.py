"""``python -m opensearch_ml``: what each command answers, how it exits, and what it never shows."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from jsonschema import Draft202012Validator

from opensearch_ml import cli
from opensearch_ml.cli.places import FINDINGS, OK, USAGE
from tests.support.bad_blueprints import CASES, GOOD, SECRETS, changed, stood_in
from tests.support.examples import CANARY, action, document
from tests.support.repository import REPOSITORY

CATALOG = REPOSITORY / "include" / "blueprints"
BARE = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")}
# What an author's machine and a pull request's runner install; all of Airflow is not among it.
NEEDED = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "yaml"}
CPU_S = 6.0  # a bound against a change of kind; 50 files take about 0.7 s
FORMATS = dict(cli.reports.FORMATS)
DOMAIN = "arn:aws:es:eu-central-1:111122223333:domain/search"


class Write(Protocol):
    """Writes files: ``blueprints__a`` is blueprints/a.yaml."""

    def __call__(self, **written: Any) -> None: ...


class Run(Protocol):
    """Runs a command; returns its exit code, output and errors."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


class FoundBy(Protocol):
    """Validates; returns the findings as JSON has them."""

    def __call__(self, *arguments: str) -> list[dict[str, Any]]: ...


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes blueprints/a.yaml and the like below the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(**written: Any) -> None:
        for name, content in written.items():
            path = Path(*name.split("__")).with_suffix(".yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; returns its exit code, output and errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = cli.main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def found(run: Run) -> FoundBy:
    """Validates, and returns the findings as JSON has them."""
    return lambda *arguments: json.loads(run("validate", "--format", "json", *arguments)[1])


WRONG = """connector:
  name: A
  protocol: http
  version: 1
  credential: {key: {conn_id: a}}
  actions:
    - action_type: predict
      method: PATCH
      url: https://a.com/v1
      headers: {Authorization: "Bearer ${credential.key}"}
  description:
    - of two
"""


# ---- start-up


def test_no_command_imports_airflow_or_a_network_client() -> None:
    program = (
        "import sys; from opensearch_ml import cli; before = set(sys.modules); codes = [cli.main(one) for one in "
        "(['validate', sys.argv[1]], ['render', sys.argv[2]], ['import', sys.argv[2]], ['schema'])];"
        "third = {n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names);"
        "print(codes, sorted(third), file=sys.stderr)"
    )
    one = CATALOG / "openai_embedding.yaml"
    ended = subprocess.run(
        [sys.executable, "-c", program, CATALOG, one], env=BARE, capture_output=True, text=True, check=True
    )
    codes, _, third = ended.stderr.strip().splitlines()[-1].partition("] ")
    assert codes == "[0, 0, 1, 0"  # the third has nothing to import
    imported = {name for name in json.loads(third.replace("'", '"')) if not name.startswith("_")}
    assert imported - NEEDED == {"opensearch_ml", "cython_runtime"}


def test_fifty_files_take_no_time_to_speak_of(files: Write, capfd: pytest.CaptureFixture[str]) -> None:
    many = {f"blueprints__b{n}": (CATALOG / "openai_embedding.yaml").read_text() for n in range(50)}
    files(**many)
    program = (
        "import time; from opensearch_ml.cli import main; main(['validate', 'blueprints']); print(time.process_time())"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=BARE, capture_output=True, text=True, check=True)
    told, seconds = ended.stdout.splitlines()
    assert told == "50 files, no findings"
    print(f"50 files: {seconds} s of processor time, start-up included")
    assert float(seconds) < CPU_S


def test_who_stops_reading_sees_no_traceback() -> None:
    # sleep has ended, and its end of the pipe is closed, long before the first word is written.
    command = f"'{sys.executable}' -m opensearch_ml validate '{CATALOG}' | sleep 0; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], env=BARE, capture_output=True, text=True, check=True)
    assert ended.stdout == f"{cli.CUT_OFF}\n"
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


def test_a_python_without_what_is_needed_is_told_what_to_install() -> None:
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "opensearch_ml", "schema"],
        env={**BARE, "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (USAGE, "")
    assert re.fullmatch(
        r".+ lacks \w+; run `pip install \.` in the repository, or use \.venv/bin/python, .+\n", ended.stderr
    )


# ---- validate


def test_the_catalog_has_no_findings_and_exits_with_0(run: Run) -> None:
    count = len(list(CATALOG.glob("*.yaml")))
    told = f"{count} files, no findings\n"
    assert run("validate", str(CATALOG), "--domain-arn", DOMAIN) == (OK, told, "")
    code, out, err = run("validate", str(CATALOG))
    assert (code, out) == (OK, told)
    assert re.search(r"connector\.\S+ in \S+ and \d+ more, because variables\.account_id has no value", err)


def test_findings_are_told_by_file_with_line_path_problem_and_fix(files: Write, run: Run) -> None:
    files(blueprints__b=WRONG, blueprints__a=document())
    code, out, _ = run("validate", "blueprints")
    assert code == FINDINGS
    assert out == (
        "blueprints/b.yaml:8: connector.actions.0.method: Input should be 'POST', 'GET', 'PUT' or 'DELETE'\n"
        "    fix: Correct connector.actions.0.method.\n"
        "blueprints/b.yaml:11: connector.description: Input should be a valid string\n"
        "    fix: Correct connector.description.\n"
        "\n"
        "2 findings in 1 of 2 files; further checks of a malformed file are skipped until it is mended\n"
    )


def test_json_has_the_same_findings_and_no_findings_are_an_empty_list(files: Write, run: Run, found: FoundBy) -> None:
    files(blueprints__b=WRONG, blueprints__a=document())
    first, second = found("blueprints")
    assert first == {
        "file": "blueprints/b.yaml",
        "line": 8,
        "path": "connector.actions.0.method",
        "problem": "Input should be 'POST', 'GET', 'PUT' or 'DELETE'",
        "fix": "Correct connector.actions.0.method.",
        "skips_checks": True,
    }
    assert second["line"] == 11
    assert run("validate", "--format", "json", "blueprints/a.yaml") == (OK, "[]\n", "")


def test_github_is_told_by_workflow_commands_that_nothing_can_break_out_of(files: Write, run: Run) -> None:
    sly = document({"parameters": {"100%: a,b": 1}})
    sly["connector"]["parameters"]["opensearch_ml_x\n::stop-commands::y"] = 1
    files(**{"of 100%, all__a": sly})
    code, out, _ = run("validate", "--format", "github", "of 100%, all")
    command, summary = out.splitlines()
    assert code == FINDINGS
    assert command.startswith("::error file=of 100%25%2C all/a.yaml,line=")
    assert ",title=connector.parameters.opensearch_ml_x?%3A%3Astop-commands%3A%3Ay::has a name" in command
    assert summary == "1 finding in 1 of 1 file"
    told = cli.reports._data("50%\r\nof")
    assert told == "50%25%0D%0Aof"


def test_a_key_of_several_lines_forges_no_line_of_the_text(files: Write, run: Run) -> None:
    files(blueprints__a=document({"parameters": {"opensearch_ml_x\n::error::forged": 1}}))
    assert not [line for line in run("validate", "blueprints")[1].splitlines() if line.startswith("::")]


def test_what_is_wrong_with_the_file_itself_is_told_in_its_first_line(files: Write, found: FoundBy) -> None:
    files(blueprints__a="[]")
    assert [(one["line"], one["path"]) for one in found("blueprints")] == [(1, "")]


def test_a_file_and_its_folder_are_one_file(files: Write, run: Run) -> None:
    files(blueprints__a=document())
    assert run("validate", "blueprints", "blueprints/a.yaml")[1] == "1 file, no findings\n"


def test_a_folder_is_taken_as_the_catalog_takes_it(files: Write, run: Run) -> None:
    files(blueprints__a=document())
    Path("blueprints", "README.md").write_text("no blueprint")
    Path("blueprints", ".hidden.yaml").write_text("[")
    Path("blueprints", "b.json").write_text(json.dumps(document()))
    assert run("validate", "blueprints")[:2] == (OK, "2 files, no findings\n")


def test_a_file_that_no_catalog_would_find_is_a_finding(files: Write, found: FoundBy) -> None:
    files(blueprints__a=document())
    Path("blueprints", "a.json").write_text(json.dumps(document()))
    Path("blueprints", "b.txt").write_text(json.dumps(document()))
    problems = {one["file"]: one["problem"] for one in found("blueprints", "blueprints/b.txt")}
    assert problems["blueprints/a.json"] == "has the same name as a.yaml"
    assert problems["blueprints/b.txt"].startswith("ends in none of .yaml, .yml, .json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "nowhere.yaml"], "nowhere.yaml is not there"),
        (["validate", "*.yml"], "*.yml is not there"),
        (["validate", "empty"], "there is no file in empty"),
        (["validate"], "required: FILE"),
        (["validate", "blueprints", "--target", "t"], "no target in targets yet; write targets/t.yaml"),
        (["validate", "blueprints", "--target", "t", "--targets", "elsewhere"], "no target in elsewhere yet; write"),
        (["validate", "blueprints", "--opensearch", "latest"], "is no version"),
        (["validate", "blueprints", "--domain-arn", "arn:aws:s3:::b"], "a domain's has the form"),
        (["validate", "blueprints", "--format", "xml"], "invalid choice"),
        (["render", "blueprints"], "blueprints is a folder"),
        (["import", "nowhere.md"], "nowhere.md cannot be read"),
        (["import", "blueprints/a.yaml", "--to", "nowhere"], "nowhere"),
        ([], "COMMAND"),
        (["deploy"], "invalid choice"),
    ],
)
def test_a_command_that_cannot_be_carried_out_exits_with_2_and_says_why(
    files: Write, run: Run, arguments: list[str], words: str
) -> None:
    files(blueprints__a=document())
    Path("empty").mkdir()
    code, out, err = run(*arguments)
    if arguments[:1] != ["import"] or "nowhere.md" in arguments:
        assert (code, out) == (USAGE, "")
    assert words in err or code == FINDINGS


def test_no_secret_of_a_refused_file_is_ever_shown(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "blueprints"
    folder.mkdir()
    for number, case in enumerate(CASES.values()):
        suffix = "json" if case.get("json") else "yaml"
        text = stood_in(case["text"]) if "text" in case else json.dumps(changed(case))
        (folder / f"b{number}.{suffix}").write_text(text, errors="surrogatepass")
    everywhere: dict[str, Any] = {
        "variables": {CANARY: CANARY},
        CANARY: CANARY,
        "smoke_test": {"parameters": {CANARY: CANARY}},
    }
    everywhere["connector"] = {CANARY: CANARY, "parameters": {CANARY: CANARY, "opensearch_ml_" + CANARY: 1}}
    everywhere["connector"]["credential"] = {CANARY: CANARY, "roleArn": CANARY}
    everywhere["connector"]["actions"] = [action(headers={CANARY: CANARY}, url=CANARY), CANARY]
    (folder / "everywhere.json").write_text(json.dumps(everywhere))
    (folder / "parameters.json").write_text(
        json.dumps(document({"parameters": {CANARY: 1, f"opensearch_ml_{CANARY}": CANARY}}))
    )
    in_every_format = lambda *told: "\n".join(form(*told) for form in FORMATS.values())  # noqa: E731
    monkeypatch.setitem(cli.reports.FORMATS, "text", in_every_format)
    code, out, err = run("validate", str(folder), "--opensearch", "2.13")
    assert code == FINDINGS
    assert not [secret for secret in (*SECRETS, CANARY) if secret in out + err]
    refused = set(re.findall(r"b(\d+)\.(?:yaml|json)", out))
    assert refused >= {str(number) for number, case in enumerate(CASES.values()) if "version" not in case}


# ---- targets, domains, versions

VARIABLES = document({"parameters": {"model": "${variables.model}", "size": "${variables.size}"}})
ON_A_DOMAIN = document({"credential": {"key": {"conn_id": "a"}}, "parameters": {"region": "${variables.region}"}})


def test_a_target_gives_variables_and_what_it_lacks_is_told_with_its_place(
    files: Write, run: Run, found: FoundBy
) -> None:
    files(blueprints__a=VARIABLES, targets__production={"variables": {"model": "m"}})
    assert run("validate", "blueprints")[:2] == (OK, "1 file, no findings\n")
    [finding] = found("blueprints", "--target", "production")
    assert finding["path"] == "connector.parameters.size"
    assert finding["fix"] == "Set variables.size in targets/production.yaml or as a default in the blueprint."
    files(targets__production={"variables": {"model": "m", "size": 1}})
    assert found("blueprints", "--target", "production") == []


def test_what_is_not_judged_is_named_and_hides_nothing(files: Write, run: Run) -> None:
    wrong = document({"client_config": {"read_timeout": "${variables.rt}"}, "description": CANARY})
    files(blueprints__a=wrong, blueprints__b=document({"version": "${variables.rt}"}))
    code, out, err = run("validate", "blueprints")
    assert code == FINDINGS
    assert out.endswith("1 finding in 1 of 2 files\n")
    assert err.startswith(
        "not judged: connector.client_config.read_timeout in blueprints/a.yaml and 1 more, because variables.rt has no "
    )
    assert run("validate", "--format", "json", "blueprints/b.yaml")[:2] == (OK, "[]\n")


def test_a_file_whose_further_checks_need_the_values_is_named(files: Write, run: Run) -> None:
    files(blueprints__a=document({"client_config": {"skip_ssl_verification": "${variables.skip}"}}))
    code, out, err = run("validate", "blueprints")
    assert (code, out) == (OK, "1 file, no findings\n")
    assert "not judged: most of blueprints/a.yaml, whose further checks need the values of its variables\n" in err


def test_a_version_is_judged_beside_other_findings(files: Write, found: FoundBy) -> None:
    one = action(name="first", headers={"A": "${credential.key}"}, url="https://${parameters.host}/v1")
    files(blueprints__a=document({"actions": [one]}, smoke_test=None))
    told = sorted(finding["path"] for finding in found("blueprints", "--opensearch", "2.19.1"))
    assert told == ["connector.actions.0.name", "connector.actions.0.url"]


def test_a_version_that_nothing_is_known_of_is_said_to_be_one(files: Write, run: Run) -> None:
    files(blueprints__a=document())
    code, out, err = run("validate", "blueprints", "--opensearch", "9.9")
    assert (code, out) == (OK, "1 file, no findings\n")
    assert err == "nothing is known of OpenSearch 9.9 beyond 3.9, by which it was judged\n"
    assert run("validate", "blueprints", "--opensearch", "3.9.2")[2] == ""


def test_the_targets_folder_may_be_elsewhere(files: Write, run: Run) -> None:
    files(blueprints__a=VARIABLES, clusters__eu={"variables": {"model": "m", "size": 1}})
    arguments = ("validate", "blueprints", "--targets", "clusters", "--target", "eu")
    assert run(*arguments)[:2] == (OK, "2 files, no findings\n")


def test_the_targets_own_file_is_checked_too(files: Write, found: FoundBy) -> None:
    files(blueprints__a=VARIABLES, targets__t="opensearch_conn_id: a\nsetings: {}\n")
    assert [(one["file"], one["line"], one["path"]) for one in found("blueprints", "--target", "t")] == [
        ("targets/t.yaml", 2, "setings")
    ]


def test_a_targets_blueprints_are_checked_against_those_beside_it(files: Write, found: FoundBy, tmp_path: Path) -> None:
    named = {"blueprints": ["a", "b_*"]}
    files(blueprints__a={"connector": document()["connector"]}, targets__t=named)
    assert [(one["line"], one["path"]) for one in found("targets")] == [(3, "blueprints.1")]
    (tmp_path / "blueprints").rename(tmp_path / "models")
    assert found("targets") == []


def test_a_folder_of_targets_is_checked_as_targets(files: Write, run: Run, found: FoundBy) -> None:
    files(targets__a={"variables": {"model": "m"}}, targets__b={"connector": {}}, clusters__c={"settings": {}})
    assert [one["file"] for one in found("targets")] == ["targets/b.yaml"]
    assert run("validate", "clusters", "--targets", "clusters")[0] == OK
    assert run("validate", "clusters")[0] == FINDINGS


def test_a_domain_gives_the_variables_that_its_connection_would(files: Write, run: Run, found: FoundBy) -> None:
    files(blueprints__a=ON_A_DOMAIN, targets__t={"opensearch_conn_id": "domain"})
    [finding] = found("blueprints", "--target", "t")
    assert finding["fix"] == (
        "Set extra domain_arn of connection domain, which tells it, or variables.region in targets/t.yaml or as a "
        "default in the blueprint. On the command line, give --domain-arn."
    )
    assert run("validate", "blueprints", "--target", "t", "--domain-arn", DOMAIN)[0] == OK


def test_a_version_finds_what_it_does_not_know_in_its_line(files: Write, run: Run, found: FoundBy) -> None:
    files(blueprints__a=document({"actions": [action(name="first", headers={"A": "${credential.key}"})]}))
    assert run("validate", "blueprints", "--opensearch", "3.6")[0] == OK
    [finding] = found("blueprints", "--opensearch", "2.19.1")
    assert finding["path"] == "connector.actions.0.name"
    line = Path("blueprints/a.yaml").read_text().splitlines()[finding["line"] - 1]
    assert line.strip() == "name: first"


# ---- render


def rendered(run: Run, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run("render", "--format", "json", *arguments)
    assert (code, err) == (OK, "")
    requests: list[dict[str, Any]] = json.loads(out)
    return requests


def test_render_shows_every_request_in_order_with_secrets_as_references(run: Run) -> None:
    requests = rendered(run, str(CATALOG / "openai_embedding.yaml"))
    assert [(one["step"], one["method"], one["path"]) for one in requests] == [
        ("trusted_endpoints", "PUT", "/_cluster/settings"),
        ("connector", "POST", "/_plugins/_ml/connectors/_create"),
        ("model_group", "POST", "/_plugins/_ml/model_groups/_register"),
        ("model", "POST", "/_plugins/_ml/models/_register"),
        ("deploy", "POST", "/_plugins/_ml/models/<model_id>/_deploy"),
        ("smoke_predict", "POST", "/_plugins/_ml/models/<model_id>/_predict"),
    ]
    connector = requests[1]["body"]
    assert connector["credential"] == {"openAI_key": "<reference: password of connection openai_default>"}
    assert connector["parameters"]["opensearch_ml_credential"] == "<fingerprint of the credential>"
    assert requests[3]["body"]["connector_id"] == "<connector_id>"
    assert requests[4]["body"] is None


@pytest.mark.parametrize("path", sorted(CATALOG.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_blueprint_of_the_catalog_is_rendered_twice_alike_in_the_steps_order(run: Run, path: Path) -> None:
    arguments = (str(path), "--domain-arn", DOMAIN)
    requests = rendered(run, *arguments)
    assert requests == rendered(run, *arguments)
    dag = (REPOSITORY / "dags" / "opensearch_ml_provision.py").read_text()
    order = re.findall(r'task_id="(\w+)"', dag)
    steps = [one["step"] for one in requests]
    assert steps == sorted(steps, key=order.index)


def test_render_shows_an_internal_connector_inside_its_model(files: Write, run: Run) -> None:
    files(blueprints__a=document(inline=True, smoke_test=None))
    requests = rendered(run, "blueprints/a.yaml")
    assert [one["step"] for one in requests] == ["trusted_endpoints", "model_group", "model", "deploy"]
    body = requests[2]["body"]
    assert "connector_id" not in body
    assert body["connector"]["credential"] == {"key": "<reference: password of connection openai_default>"}


@pytest.mark.parametrize(
    ("rotation", "keys"),
    [
        ({"source": "iam_user_key", "user_name": "models"}, ["access_key", "secret_key"]),
        (
            {"source": "assume_role", "role_arn": "arn:aws:iam::111122223333:role/models"},
            ["access_key", "secret_key", "session_token"],
        ),
    ],
)
def test_render_shows_what_a_source_gives_as_that(
    rotation: dict[str, str], keys: list[str], files: Write, run: Run
) -> None:
    files(blueprints__a={**GOOD["session"], "rotation": rotation})
    credential = rendered(run, "blueprints/a.yaml")[1]["body"]["credential"]
    assert credential == dict.fromkeys(keys, f"<given by {rotation['source']}>")


def test_render_stops_at_the_connector_of_an_mcp_server(run: Run) -> None:
    assert rendered(run, str(CATALOG / "mcp_sse.yaml"))[-1]["step"] == "connector"


def test_render_takes_variables_and_settings_from_the_target(files: Write, run: Run) -> None:
    settings = {"settings": {"only_run_on_ml_node": False}}
    files(blueprints__a=VARIABLES, targets__t={"variables": {"model": "m", "size": 3}, **settings})
    requests = rendered(run, "blueprints/a.yaml", "--target", "t")
    assert requests[0]["body"] == {"persistent": {"plugins.ml_commons.only_run_on_ml_node": False}}
    assert requests[2]["body"]["parameters"]["size"] == "3"


def test_render_makes_no_value_up(files: Write, run: Run) -> None:
    files(blueprints__a=VARIABLES, targets__t={})
    for arguments in ([], ["--target", "t"]):
        code, out, err = run("render", "blueprints/a.yaml", *arguments)
        assert (code, out) == (FINDINGS, "")
        assert "variable model has no value" in err
    assert "variable model has no value on target t" in err
    told = run("render", "blueprints/a.yaml")[2]
    assert "variable model has no value, because no target is given" in told
    assert "fix: Use --target, or give it a default: variables.model in the blueprint." in told
    assert "NAME" not in told


def test_render_refuses_what_validate_finds(files: Write, run: Run) -> None:
    files(blueprints__a=WRONG, targets__t="opensearch_conn_id: []", blueprints__b=document())
    assert run("render", "blueprints/a.yaml")[0] == FINDINGS
    code, out, err = run("render", "blueprints/b.yaml", "--target", "t")
    assert (code, out) == (FINDINGS, "")
    assert err.startswith("targets/t.yaml:1: opensearch_conn_id")
    assert run("render", "targets/t.yaml")[0] == USAGE


def test_what_render_shows_is_imported_as_it_was(files: Write, run: Run) -> None:
    code, shown, _ = run("render", str(CATALOG / "openai_embedding.yaml"))
    Path("page.md").write_text(f"```json\n{shown}```\n")
    code, imported, told = run("import", "page.md", "--name", "again")
    assert code == FINDINGS
    assert {"opensearch_ml_owner", "opensearch_ml_blueprint"} == set(re.findall(r"mended: \S+\.(\w+):", told))
    again = yaml.safe_load(imported)["connector"]
    original = yaml.safe_load((CATALOG / "openai_embedding.yaml").read_text())["connector"]
    assert again["actions"][0]["request_body"] == original["actions"][0]["request_body"]


# ---- import

PAGE = """# Some platform
```json
POST /_plugins/_ml/connectors/_create
{"name": "Platform", "version": 1, "protocol": "http", "credential": {"key": "YOUR_KEY"},
 "actions": [{"action_type": "predict", "method": "POST", "url": "https://api.example.com/v1",
              "headers": {"Authorization": "Bearer ${credential.key}"}, "request_body": "{}"}]}
```
"""


def test_import_shows_a_blueprint_and_tells_what_is_left_to_do(files: Write, run: Run) -> None:
    Path("page.md").write_text(PAGE)
    code, out, err = run("import", "page.md")
    assert code == OK
    assert yaml.safe_load(out)["connector"]["credential"]["key"].keys() >= {"conn_id"}
    assert err.splitlines()
    assert "YOUR_KEY" not in out


def test_import_reads_standard_input(files: Write, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PAGE.encode())))
    assert run("import", "-")[0] == OK


def test_import_writes_files_that_validate_and_name_their_schema_and_none_over_another(files: Write, run: Run) -> None:
    files(blueprints__other=document(), schema__blueprint_schema="{}")
    Path("schema", "blueprint.schema.json").write_text("{}")
    Path("page.md").write_text(PAGE)
    code, out, _ = run("import", "page.md", "--name", "platform", "--to", "blueprints")
    assert (code, out) == (OK, "wrote blueprints/platform.yaml\n")
    text = Path("blueprints/platform.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../schema/blueprint.schema.json\n")
    assert run("validate", "blueprints")[0] == OK
    code, _, err = run("import", "page.md", "--name", "platform", "--to", "blueprints")
    assert code == USAGE
    assert "blueprints/platform.yaml is there already" in err
    assert Path("blueprints/platform.yaml").read_text() == text


def test_import_of_what_shows_no_connector_says_so(files: Write, run: Run) -> None:
    Path("page.md").write_text("nothing")
    code, out, err = run("import", "page.md")
    assert (code, out) == (FINDINGS, "")
    assert "shows no connector" in err


def test_import_of_what_is_to_be_mended_writes_it_and_exits_with_1(files: Write, run: Run) -> None:
    files(blueprints__other=document())
    Path("body.json").write_text('{"name": "A", "protocol": "http", "parameters": {"a": "b"}}')
    code, out, err = run("import", "body.json", "--name", "mine", "--to", "blueprints")
    assert (code, out) == (FINDINGS, "wrote blueprints/mine.yaml\n")
    assert "mine: To be mended: connector.actions: has no predict action" in err


def test_what_import_removed_is_a_finding_of_validate(files: Write, run: Run) -> None:
    files(blueprints__other=document())
    Path("page.md").write_text(PAGE.replace('"request_body": "{}"', f'"request_body": "{{ \\"k\\": \\"{CANARY}\\" }}"'))
    code, _, err = run("import", "page.md", "--name", "mine", "--to", "blueprints")
    assert code == FINDINGS
    assert "holds REMOVED" in err
    code, out, _ = run("validate", "blueprints/mine.yaml")
    assert code == FINDINGS
    assert "connector.actions.0.request_body: holds REMOVED, which import wrote" in out


# ---- schema, and how it is installed


def test_schema_prints_the_json_schema(run: Run) -> None:
    code, out, _ = run("schema")
    assert code == OK
    Draft202012Validator.check_schema(json.loads(out))
    assert out == (REPOSITORY / "include" / "schema" / "blueprint.schema.json").read_text()


def test_the_installed_command_is_this_one() -> None:
    assert f'{cli.PROGRAM} = "opensearch_ml.cli:main"' in (REPOSITORY / "pyproject.toml").read_text()
