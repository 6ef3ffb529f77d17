"""docs/aws.md and the targets' README: the documents are those that are made, the snippets are taken as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint.models import IamRoleSection
from opensearch_ml.blueprint.placeholders import expand, fill_variables
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog
from opensearch_ml.checks import versions
from opensearch_ml.client.connection import signing
from opensearch_ml.iam import policies
from opensearch_ml.iam.role import IamRole, role_for
from tests.support.markdown import blocks, links, rows
from tests.support.parsing import parse_blueprint
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "docs"
AWS = (FOLDER / "aws.md").read_text()
TARGETS = (REPOSITORY / "include" / "targets" / "README.md").read_text()
BLUEPRINTS = REPOSITORY / "include" / "blueprints"
DOMAIN = DomainArn.parse("arn:aws:es:eu-west-1:123456789012:domain/search")
NAMES = [path.stem for path in sorted(BLUEPRINTS.glob("*.yaml"))]


def snippets(text: str, folder: str) -> list[tuple[str, dict[str, Any]]]:
    """The YAML blocks whose first line names a file of a folder of include/, by the file's stem."""
    found = [(re.match(rf"# include/{folder}/(\w+)\.yaml\n", block), block) for block in blocks(text, "yaml")]
    return [(match[1], yaml.safe_load(block)) for match, block in found if match]


def merged(document: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: merged(document[key], value)
        if isinstance(value, Mapping) and isinstance(document.get(key), Mapping)
        else value
        for key, value in changed.items()
    }
    return {**document, **both}


def catalog_row(name: str) -> list[str]:
    """What the table of the catalog says of a blueprint: name, what it does, whose credential, since which version."""
    blueprint = Catalog(BLUEPRINTS, REPOSITORY / "no-targets").blueprint(name, domain_arn=DOMAIN)
    connections = sorted({str(one.conn_id) for one in blueprint.connector.references.values()})
    versions_known = ((major, minor, patch) for major in (2, 3) for minor in range(20) for patch in range(3))
    since = next(version for version in versions_known if not versions.findings(blueprint, version))
    return [
        f"[{name}](../include/blueprints/{name}.yaml)",
        str(blueprint.connector.description),
        ", ".join(f"`{conn_id}`" for conn_id in connections) or "role",
        ".".join(map(str, since)).removesuffix(".0"),
    ]


def test_the_table_of_the_catalog_is_that_of_its_blueprints() -> None:
    assert rows((FOLDER / "blueprints.md").read_text(), "## The catalog") == [catalog_row(name) for name in NAMES]


def role_of(name: str) -> IamRole | None:
    catalog = Catalog(BLUEPRINTS, REPOSITORY / "no-targets")
    document = yaml.safe_load((BLUEPRINTS / f"{name}.yaml").read_text())
    if "roleArn" not in document["connector"].get("credential", {}):
        return None
    return role_for(catalog.blueprint(name, domain_arn=DOMAIN), DOMAIN)


@pytest.mark.parametrize(("name", "changed"), snippets(AWS, "blueprints"))
def test_a_blueprint_with_what_the_snippet_says_is_valid(name: str, changed: dict[str, Any]) -> None:
    document = merged(yaml.safe_load((BLUEPRINTS / f"{name}.yaml").read_text()), changed)
    variables = {**document.pop("variables"), **DOMAIN.variables()}

    def missing(path: str, variable: str | list[str]) -> None:
        pytest.fail(f"{path}: {variable}")

    filled = fill_variables(document, expand(variables, document, missing, missing), missing)
    blueprint = parse_blueprint(name, filled, source="docs/aws.md")
    if "roleArn" in blueprint.connector.credential:
        assert role_for(blueprint, DOMAIN)


def test_the_section_iam_role_is_shown_with_all_its_fields_and_defaults() -> None:
    [shown] = [found["iam_role"] for _, found in snippets(AWS, "blueprints") if "manage" in found.get("iam_role", {})]
    assert set(shown) == set(IamRoleSection.model_fields)
    defaults = IamRoleSection().model_dump(exclude_none=True)
    assert {key: shown[key] for key in defaults} == defaults


def test_the_trust_and_permission_policies_are_those_that_are_made() -> None:
    role = role_of("sagemaker_embedding")
    assert role
    trust, permissions = (json.loads(block) for block in blocks(AWS, "json"))
    assert trust == policies.trust_policy([DOMAIN], role.services)
    assert permissions == role.permissions
    assert f"`{role.policy_name}`" in AWS


def test_the_extras_of_a_connection_are_those_that_are_read() -> None:
    named = {cells[0].strip("`") for cells in rows(AWS, "## The connection")}
    source = Path(str(signing.__code__.co_filename)).read_text()
    assert named == {"domain_arn", "aws_conn_id", "region_name"}
    assert [name for name in named if f'get("{name}")' not in source] == []


def test_the_variables_are_those_of_a_domain() -> None:
    told = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(AWS, "## Variables")}
    assert told == DOMAIN.variables()


def test_every_blueprint_that_uses_a_role_stands_beside_its_role() -> None:
    told = {
        name: cells[0].strip("`") for cells in rows(AWS, "## Blueprints") for name in re.findall(r"`(\w+)`", cells[2])
    }
    made = {name: role.name for name in NAMES if (role := role_of(name))}
    assert told == made


def test_a_wildcard_stands_only_where_the_text_says_so() -> None:
    wide = {
        action.partition(":")[0]
        for name in NAMES
        if (role := role_of(name))
        for statement in role.permissions["Statement"]
        if statement["Resource"] == "*"
        for action in [statement["Action"]]
    }
    assert wide == {"comprehend", "textract", "bedrock"}
    assert "(Comprehend, Textract, Bedrock's Rerank)" in AWS


@pytest.mark.parametrize(("name", "document"), [*snippets(AWS, "targets"), *snippets(TARGETS, "targets")])
def test_a_target_that_is_shown_is_one(name: str, document: dict[str, Any]) -> None:
    assert Target.parse(name, document, source="shown").name == name


@pytest.mark.parametrize(("text", "folder"), [(AWS, FOLDER), (TARGETS, REPOSITORY / "include" / "targets")])
def test_every_link_leads_somewhere(text: str, folder: Path) -> None:
    assert [link for link in links(text) if not (folder / link).exists()] == []


def test_every_yaml_block_is_looked_at() -> None:
    for text in (AWS, TARGETS):
        assert len(snippets(text, "blueprints")) + len(snippets(text, "targets")) == len(blocks(text, "yaml"))


def test_the_compose_file_hands_on_what_the_text_says_and_holds_no_value() -> None:
    services = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())["services"]
    for name in ("scheduler", "worker", "triggerer", "dag-processor", "api-server"):
        handed = {key: value for key, value in services[name]["environment"].items() if key.startswith("AWS_")}
        assert set(handed) == set(re.findall(r"`(AWS_\w+)`", AWS.partition("## Airflow in Docker")[2]))
        assert set(handed.values()) == {None}
