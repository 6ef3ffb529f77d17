from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from opensearch_ml.base.arns import DOMAIN_VARIABLES, DomainArn
from opensearch_ml.blueprint.target import MLSettings
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.errors import InvalidBlueprint, InvalidTarget
from tests.support.examples import CANARY, action, document, only


class Files:
    """A blueprints and a targets folder of one test."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(folder / "blueprints", folder / "targets")
        for kind in ("blueprints", "targets"):
            (folder / kind).mkdir()
        self.folder = folder

    def blueprint(self, name: str, written: Any) -> None:
        self._write(self.folder / "blueprints" / name, written)

    def target(self, name: str, written: Any) -> None:
        self._write(self.folder / "targets" / name, written)

    @staticmethod
    def _write(path: Path, written: Any) -> None:
        text = json.dumps(written) if path.suffix == ".json" else yaml.safe_dump(written)
        path.write_text(written if isinstance(written, str) else text)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_names_are_sorted_stems_of_yaml_yml_and_json(files: Files) -> None:
    for name in ("b.yml", "a-b.yaml", "a.yaml", "c.json", "README.md", ".hidden.yaml", "no_suffix", "d.yaml.bak"):
        files.blueprint(name, document())
    (files.folder / "blueprints" / "folder.yaml").mkdir()
    assert files.catalog.blueprint_names() == ["a", "a-b", "b", "c"]


def test_names_are_told_without_reading_a_file(files: Files) -> None:
    files.blueprint("broken.yaml", "{")
    assert files.catalog.blueprint_names() == ["broken"]


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_a_blueprint_is_read_from_every_kind_of_file(files: Files, suffix: str) -> None:
    files.blueprint(f"a.{suffix}", document())
    assert files.catalog.blueprint("a").name == "a"


def test_a_name_that_no_file_has_is_told_with_the_nearest(files: Files) -> None:
    files.blueprint("openai_chat.yaml", document())
    with pytest.raises(InvalidBlueprint, match=r"Did you mean openai_chat\?"):
        files.catalog.blueprint("openai_caht")


def test_two_files_of_one_name_are_a_finding_and_one_name(files: Files) -> None:
    files.blueprint("a.yaml", document())
    files.blueprint("a.json", document())
    assert files.catalog.blueprint_names() == ["a"]
    with pytest.raises(InvalidBlueprint, match=r"both a\.json and a\.yaml have this name"):
        files.catalog.blueprint("a")


def test_two_targets_of_one_name_are_a_finding(files: Files) -> None:
    files.blueprint("a.yaml", document())
    files.target("t.yaml", {})
    files.target("t.yml", {"opensearch_conn_id": "other"})
    with pytest.raises(InvalidTarget, match=r"both t\.yaml and t\.yml have this name"):
        files.catalog.blueprint("a")


def test_missing_folders_hold_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "none", tmp_path / "none")
    assert catalog.blueprint_names() == []
    assert catalog.targets() == []
    assert catalog.target("any").variables == {}


def test_a_file_that_cannot_be_read_is_a_finding_of_its_kind(files: Files) -> None:
    files.blueprint("a.yaml", f"connector: [\nkey: {CANARY}")
    with pytest.raises(InvalidBlueprint, match=r"blueprint a\.yaml has 1 finding.*\n.*line 2") as caught:
        files.catalog.blueprint("a")
    assert CANARY not in str(caught.value) + repr(caught.value.__context__)
    files.blueprint("a.yaml", document())
    files.target("t.yaml", "a: *b")
    with pytest.raises(InvalidTarget, match=r"target t\.yaml has 1 finding"):
        files.catalog.blueprint("a")


def test_findings_of_every_kind_have_their_lines_and_those_in_a_variable_that_of_its_use(files: Files) -> None:
    text = (
        "variables: {headers: {Authorization: secret}}\n"
        "connector:\n"
        "  protocol: smtp\n"
        "  nam: a\n"
        "  actions:\n"
        "    - {action_type: predict, url: a,\n"
        "       request_body: []}\n"
    )
    files.blueprint("a.yaml", text)
    with pytest.raises(InvalidBlueprint) as caught:
        files.catalog.blueprint("a")
    assert {(one.path, one.line) for one in caught.value.findings} == {
        ("variables.headers.Authorization", 1),
        ("connector.name", 2),
        ("connector.protocol", 3),
        ("connector.nam", 4),
        ("connector.actions.0.method", 6),
        ("connector.actions.0.request_body", 7),
    }
    good = document()
    good["connector"]["actions"][0]["headers"] = "${variables.headers}"
    good["variables"] = {"headers": {"Cookie": "secret"}}
    text = json.dumps(good, indent=1)
    files.blueprint("b.json", text)
    with pytest.raises(InvalidBlueprint) as caught:
        files.catalog.blueprint("b")
    finding = only(caught.value)
    assert finding.path == "connector.actions.0.headers.Cookie"
    assert finding.line is not None
    assert "${variables.headers}" in text.splitlines()[finding.line - 1]


@pytest.mark.parametrize("text", ["", "# nothing", "- a", "text", "7"])
def test_a_file_that_holds_no_mapping_is_a_finding(files: Files, text: str) -> None:
    files.blueprint("a.yaml", text)
    with pytest.raises(InvalidBlueprint, match="is not a mapping"):
        files.catalog.blueprint("a")
    files.blueprint("a.yaml", document())
    files.target("t.yaml", text)
    with pytest.raises(InvalidTarget, match="is not a mapping"):
        files.catalog.blueprint("a")


# ---- variables

WITH_VARIABLES = {
    **document(
        {
            "parameters": {"model": "${variables.model}", "size": "${variables.size}", "note": "is ${variables.size}"},
            "actions": [action(url="${variables.url}/v1")],
        }
    ),
    "variables": {"url": "https://a.com", "size": 3},
}


def test_the_blueprints_default_holds_unless_the_target_overrides_it(files: Files) -> None:
    files.blueprint("a.yaml", WITH_VARIABLES)
    files.target("one.yaml", {"opensearch_conn_id": "one", "variables": {"model": "m"}})
    files.target("two.yaml", {"opensearch_conn_id": "two", "variables": {"model": "n", "url": "https://b.com"}})
    one = files.catalog.blueprint("a", opensearch_conn_id="one").connector
    two = files.catalog.blueprint("a", opensearch_conn_id="two").connector
    assert (one.parameters["model"], one.urls) == ("m", ["https://a.com/v1"])
    assert (two.parameters["model"], two.urls) == ("n", ["https://b.com/v1"])
    assert (one.parameters["size"], one.parameters["note"]) == (3, "is 3")


def test_a_variable_without_a_value_is_told_with_its_place_and_its_file(files: Files) -> None:
    files.blueprint("a.yaml", WITH_VARIABLES)
    files.target("production.yaml", {"opensearch_conn_id": "one"})
    with pytest.raises(InvalidBlueprint) as caught:
        files.catalog.blueprint("a", opensearch_conn_id="one")
    finding = only(caught.value)
    assert finding.path == "connector.parameters.model"
    assert finding.problem == "variable model has no value on target production"
    assert "variables.model in targets/production.yaml" in finding.fix


def test_a_variable_may_be_a_mapping_or_a_list(files: Files) -> None:
    written = document(
        {
            "parameters": {"whole": "${variables.map}"},
            "actions": [action(request_body='{"a": ${variables.list}, "b": ${variables.map}}')],
        }
    )
    files.blueprint("a.yaml", {**written, "variables": {"map": {"x": [1]}, "list": ["a", 2]}})
    connector = files.catalog.blueprint("a").connector
    assert connector.parameters["whole"] == {"x": [1]}
    assert connector.actions[0].request_body == '{"a": ["a",2], "b": {"x":[1]}}'


def test_a_variables_value_may_hold_other_variables(files: Files) -> None:
    chain = {"host": "a.com", "url": "https://${variables.host}", "model": ["${variables.size}", "${variables.no:-d}"]}
    files.blueprint("a.yaml", {**WITH_VARIABLES, "variables": chain})
    files.target("t.yaml", {"variables": {"size": 7, "host": "${variables.sub}.b.com", "sub": "eu"}})
    blueprint = files.catalog.blueprint("a")
    assert blueprint.connector.urls == ["https://eu.b.com/v1"]
    assert blueprint.connector.parameters["model"] == [7, "d"]
    assert blueprint.variables == chain


def test_variables_that_need_each_other_are_a_finding_and_only_one(files: Files) -> None:
    circle = {"url": "${variables.model}", "model": "m ${variables.size}", "size": "${variables.url}"}
    files.blueprint("a.yaml", {**WITH_VARIABLES, "variables": circle})
    with pytest.raises(InvalidBlueprint) as caught:
        files.catalog.blueprint("a")
    assert only(caught.value).problem == "needs its own value (model -> size -> url -> model)"


def test_a_variable_that_a_value_lacks_is_told_unless_nobody_uses_that_value(files: Files) -> None:
    files.blueprint("a.yaml", {**WITH_VARIABLES, "variables": {"url": "https://${variables.host}", "model": "m"}})
    files.target("t.yaml", {"variables": {"size": 1, "unused": "${variables.none} ${variables.unused}"}})
    with pytest.raises(InvalidBlueprint) as caught:
        files.catalog.blueprint("a")
    assert only(caught.value).path == "variables.url"


# ---- the domain's variables

DOMAIN = DomainArn.parse("arn:aws-cn:es:cn-north-1:111122223333:domain/search")
FROM_THE_DOMAIN = {
    **document({"parameters": {name: f"${{variables.{name}}}" for name in DOMAIN_VARIABLES}}),
    "variables": {"region": "eu-central-1"},
}


def test_the_domain_gives_variables_over_the_defaults_and_under_the_targets(files: Files) -> None:
    files.blueprint("a.yaml", FROM_THE_DOMAIN)
    files.target("t.yaml", {"opensearch_conn_id": "one", "variables": {"account_id": "444455556666"}})
    assert files.catalog.blueprint("a", domain_arn=DOMAIN).connector.parameters == {
        "region": "cn-north-1",
        "account_id": "111122223333",
        "partition": "aws-cn",
        "dns_suffix": "amazonaws.com.cn",
        "domain_name": "search",
    }
    other = files.catalog.blueprint("a", opensearch_conn_id="one", domain_arn=DOMAIN).connector.parameters
    assert other["account_id"] == "444455556666"


def test_without_a_domain_its_variables_are_told_with_where_they_come_from(files: Files) -> None:
    files.blueprint("a.yaml", FROM_THE_DOMAIN)
    with pytest.raises(InvalidBlueprint) as caught:
        files.catalog.blueprint("a", opensearch_conn_id="one")
    assert {finding.path.rpartition(".")[2] for finding in caught.value.findings} == set(DOMAIN_VARIABLES) - {"region"}
    assert "Set extra domain_arn of connection one, which tells it, or variables.partition in targets/one.yaml" in str(
        caught.value
    )


def test_a_variable_with_a_default_in_its_place_needs_no_value(files: Files) -> None:
    files.blueprint("a.yaml", document({"parameters": {"model": "${variables.none:-small}"}}))
    assert files.catalog.blueprint("a").connector.parameters == {"model": "small"}


def test_a_secret_is_no_variable(files: Files) -> None:
    files.blueprint("a.yaml", document())
    files.target("t.yaml", {"variables": {"key": CANARY}})
    with pytest.raises(InvalidTarget, match=r"variables\.key: holds a literal secret") as caught:
        files.catalog.blueprint("a")
    assert CANARY not in str(caught.value)


def test_variables_that_are_no_mapping_are_a_finding(files: Files) -> None:
    files.blueprint("a.yaml", {**document(), "variables": ["a"]})
    with pytest.raises(InvalidBlueprint, match="variables: Input should be a valid dictionary"):
        files.catalog.blueprint("a")


def test_a_date_stays_the_text_that_it_is(files: Files) -> None:
    files.blueprint("a.yaml", yaml.safe_dump(document()) + "variables: {api: 2024-02-01}\n")
    assert files.catalog.blueprint("a").variables == {"api": "2024-02-01"}


# ---- targets


def test_a_target_is_found_by_its_connection(files: Files) -> None:
    files.target("production.yaml", {"opensearch_conn_id": "prod", "settings": {"only_run_on_ml_node": False}})
    files.target("staging.yaml", {"opensearch_conn_id": "staging"})
    found = files.catalog.target("prod")
    assert found.name == "production"
    assert found.settings.as_cluster_settings() == {"plugins.ml_commons.only_run_on_ml_node": False}


def test_a_connection_without_a_target_has_no_variables_and_settings(files: Files) -> None:
    found = files.catalog.target("unknown")
    assert (found.opensearch_conn_id, found.variables, found.settings.as_cluster_settings()) == ("unknown", {}, {})


def test_two_targets_for_one_connection_are_a_finding(files: Files) -> None:
    files.target("a.yaml", {})
    files.target("b.yaml", {"opensearch_conn_id": "opensearch_default"})
    with pytest.raises(InvalidTarget, match=r"target a and b .*\n.*both are for connection opensearch_default"):
        files.catalog.target("opensearch_default")
    assert files.catalog.target("other").name == "other"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"setings": {}}, "setings: unknown field"),
        ({"settings": {"only_run_on_ml_nodes": True}}, "Did you mean only_run_on_ml_node?"),
        ({"role_mapping": {"ml_full_access": {"backend_role": []}}}, "Did you mean backend_roles?"),
        ({"opensearch_conn_id": ""}, "opensearch_conn_id: String should have at least 1 character"),
    ],
)
def test_a_target_with_an_unknown_field_is_a_finding(files: Files, written: dict[str, Any], words: str) -> None:
    files.target("t.yaml", written)
    with pytest.raises(InvalidTarget) as caught:
        files.catalog.targets()
    assert words in str(caught.value)


def test_every_switch_of_a_target_has_its_full_name() -> None:
    every = MLSettings(**dict.fromkeys(MLSettings.model_fields, True)).as_cluster_settings()
    assert len(every) == len(MLSettings.model_fields)
    assert all(name.startswith("plugins.ml_commons.") for name in every)


# ---- which blueprints live on a target


def test_a_target_names_its_blueprints_by_name_and_by_glob(files: Files) -> None:
    for name in ("openai_chat", "openai_embedding", "cohere_rerank", "jina"):
        files.blueprint(f"{name}.yaml", document())
    files.target("t.yaml", {"blueprints": ["openai_*", "jina", "openai_chat"], "adopt": {"jina": "Xy9_-a"}})
    target, names = files.catalog.fleet("t")
    assert names == ["jina", "openai_chat", "openai_embedding"]
    assert target.adopt == {"jina": "Xy9_-a"}


def test_a_target_without_blueprints_says_what_to_write(files: Files) -> None:
    files.blueprint("openai_chat.yaml", document())
    files.target("t.yaml", {})
    with pytest.raises(InvalidTarget, match=r"names no blueprints(.|\n)*Write `blueprints: \[openai_chat\]`"):
        files.catalog.fleet("t")


@pytest.mark.parametrize(
    ("written", "path", "words"),
    [
        ("blueprints:\n- openai_chat\n- openai_caht\n", "line 3, blueprints.1", "Did you mean openai_chat?"),
        ("blueprints: [openai_chat, 'cohere_*']", "line 1, blueprints.1", "fits no blueprint"),
        (
            "blueprints: [openai_chat]\nadopt: {openai_cha: Ab3}",
            "line 2, adopt.openai_cha",
            "Did you mean openai_chat?",
        ),
        ("blueprints: [openai_chat]\nadopt: {jina: Ab3}", "line 2, adopt.jina", "does not name under blueprints"),
        ("blueprints: ['../openai_chat']", "line 1, blueprints.0", "should match pattern"),
        ("blueprints: openai_chat", "line 1, blueprints", "should be a valid list"),
        ("blueprints: [openai_chat]\nadopt: {openai_chat: a/b}", "line 2, adopt.openai_chat", "should match pattern"),
    ],
)
def test_what_a_target_names_and_nobody_has_is_a_finding(files: Files, written: str, path: str, words: str) -> None:
    for name in ("openai_chat", "jina"):
        files.blueprint(f"{name}.yaml", document())
    files.target("t.yaml", written)
    with pytest.raises(InvalidTarget) as caught:
        files.catalog.fleet("t")
    [finding] = caught.value.findings
    assert finding.where == path
    assert words in str(finding)


def test_a_target_that_is_not_there_is_told_with_the_nearest(files: Files) -> None:
    files.target("production.yaml", {})
    with pytest.raises(InvalidTarget, match="Did you mean production"):
        files.catalog.fleet("prodution")
