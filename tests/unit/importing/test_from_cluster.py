"""What others made on a cluster becomes blueprints that say the same, with references where a secret belongs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from opensearch_ml.base.arns import DomainArn
from opensearch_ml.blueprint import loader
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.blueprint.target import Target
from opensearch_ml.catalog.catalog import Catalog, checked
from opensearch_ml.client.documents import ConnectorDoc, ModelDoc, ModelGroupDoc
from opensearch_ml.importing.from_cluster import Others, others
from opensearch_ml.importing.to_blueprint import Place
from opensearch_ml.reconcile.desired import Desired
from opensearch_ml.reconcile.plan import plan
from opensearch_ml.resources import bodies, canonical
from opensearch_ml.resources.changes import Kind
from opensearch_ml.resources.inventory import Cluster, Fleet
from tests.support.fleets import NOW_MS, VERSION, blueprint, canary, connector, foreign, internal, model, stands
from tests.support.repository import REPOSITORY

CATALOG = Catalog(REPOSITORY / "include" / "blueprints", REPOSITORY / "no_targets")
FRANKFURT = DomainArn.parse("arn:aws:es:eu-central-1:111122223333:domain/search")
NEWEST = (3, 7, 0)
SECRET = "sk-canary-Xp4rT9sLw2Qz-only-in-tests"


def as_stored(
    of: Blueprint, version: tuple[int, ...] = VERSION, connector_id: str = "c", **changed: Any
) -> ConnectorDoc:
    """A connector that somebody else made of the same definition, as the server gives it back."""
    told: dict[str, Any] = {**foreign(of, connector_id)}
    told.pop("credential", None)
    if told.get("client_config"):
        told["client_config"] = canonical.client_defaults(version) | told["client_config"]
    mode = told.pop("access_mode", None)
    given_back = {"version": str(told["version"]), "last_updated_time": 5, **({"access": mode} if mode else {})}
    return cast(ConnectorDoc, {**told, **given_back, **changed})


def standing(of: Blueprint, version: tuple[int, ...] = VERSION, **fields: Any) -> Fleet:
    """A model that somebody else made of the same definition."""
    held = as_stored(of, version)
    if of.connector.is_mcp:
        return Fleet([held], [], version)
    if of.inline:
        return Fleet([], [model(of, "m", internal(held), **fields)], version)
    return Fleet([held], [model(of, "m", "c", **fields)], version)


def found(fleet: Fleet, *patterns: str, **place: Any) -> Others:
    return others(fleet, {}, Place(fleet.version, **place), patterns)


def written(told: Others, domain_arn: DomainArn | None = None, **variables: Any) -> Blueprint:
    """The one blueprint, read as a target's."""
    [one] = told.blueprints
    target = Target(name="t", variables=variables)
    document = loader.parse(one.yaml_text)
    result = checked(document, Path(f"{one.name}.yaml"), target, Path("targets"), domain_arn)
    assert result.findings == []
    assert result.blueprint is not None
    return result.blueprint


def differences(told: Others, fleet: Fleet, domain_arn: DomainArn | None = None, **variables: Any) -> list[str]:
    """What a plan would show as different beside the credential, which it cannot know."""
    wanted = written(told, domain_arn, **variables)
    target = Target(name="t", adopt=dict(told.adopt))
    shown = plan(target, [Desired(wanted.name, wanted)], Cluster(fleet, {}), serves=lambda _, mark: True, now_ms=NOW_MS)
    [change] = shown.of_kind(Kind.ADOPT)
    return [one.path for one in change.differences if one.path != "credential"]


STANDALONE = [pytest.param(name, False, id=name) for name in CATALOG.blueprint_names()]
INTERNAL = [
    pytest.param(name, True, id=f"{name}-internal") for name in CATALOG.blueprint_names() if not name.startswith("mcp_")
]


@pytest.mark.parametrize(("name", "inline"), [*STANDALONE, *INTERNAL])
def test_every_blueprint_of_the_catalog_is_written_as_it_stands_and_adopted_without_a_difference(
    name: str, inline: bool
) -> None:
    of = CATALOG.blueprint(name, domain_arn=FRANKFURT)
    of = of.model_copy(update={"inline": inline})
    fleet = standing(of, NEWEST)
    told = found(fleet, is_domain=True)
    values = {"role_name": "r", "secret_name": "opensearch-openai-AbCdEf"}
    assert differences(told, fleet, FRANKFURT, **values) == []
    again = written(told, FRANKFURT, **values)
    assert again.inline == inline
    assert again.connector.credential.keys() >= {"roleArn"} & of.connector.credential.keys()


def test_fields_are_written_as_people_write_them() -> None:
    of = blueprint(
        connector__parameters={"size": 3, "on": True, "stop": ["a", "b"], "text": "01", "rate": "1.50"},
        connector__client_config={"read_timeout": 7},
        smoke_test={"parameters": {"model": "m"}, "expect": {"path": "inference_results", "type": "array"}},
    )
    told = found(standing(of))
    document = yaml.safe_load(told.blueprints[0].yaml_text)
    assert document["connector"]["version"] == 1
    assert document["connector"]["parameters"] == {
        "size": 3,
        "on": True,
        "stop": ["a", "b"],
        "text": "01",
        "rate": "1.50",
    }
    assert document["connector"]["client_config"] == {"read_timeout": 7}
    assert document["connector"]["actions"][0]["action_type"] == "predict"
    assert "model" not in document  # its name is the file's


def test_hours_of_waiting_that_an_older_server_fills_in_are_no_time_out_and_told() -> None:
    of = blueprint(connector__client_config={"read_timeout": 7})
    fleet = standing(of, (2, 19, 1))
    told = found(fleet)
    document = yaml.safe_load(told.blueprints[0].yaml_text)
    assert document["connector"]["client_config"] == {"connection_timeout": 30, "read_timeout": 7}
    assert any("connection_timeout is 30000 seconds" in note for note in told.blueprints[0].notes)
    assert differences(told, fleet) == ["client_config.connection_timeout"]


def test_a_models_own_fields_are_written_and_those_of_the_server_are_not() -> None:
    fields: dict[str, Any] = {
        "name": "Answers, and more",
        "description": "By hand",
        "is_enabled": False,
        "rate_limiter": {"limit": "4.0", "unit": "MINUTES"},
        "guardrails": {"type": "local_regex", "input_guardrail": {"regex": [".*no.*"]}},
        "interface": {"input": '{"type":"object"}'},
        "deploy_setting": {"is_auto_deploy_enabled": False, "model_ttl_minutes": 10},
        "model_version": "2",
        "last_deployed_time": 7,
        "planning_worker_nodes": ["n"],
    }
    fleet = standing(blueprint(), **fields)
    group: ModelGroupDoc = {"id": "g", "name": "Shared", "description": "For all", "access": "public"}
    told = others(
        Fleet(fleet.connectors, [{**fleet.models[0], "model_group_id": "g"}], VERSION), {"g": group}, Place(VERSION)
    )
    document = yaml.safe_load(told.blueprints[0].yaml_text)
    kept = {key: fields[key] for key in ("name", "description", "is_enabled", "guardrails", "deploy_setting")}
    assert document["model"] == {
        **kept,
        "rate_limiter": {"limit": 4, "unit": "MINUTES"},
        "interface": {"input": {"type": "object"}},
        "group": {"name": "Shared", "description": "For all"},
    }
    assert told.blueprints[0].name == "answers_and_more"
    assert differences(told, fleet) == []


def test_references_stand_where_a_credential_was_and_the_connections_to_make_are_told() -> None:
    of = blueprint(connector__actions__0__url="https://api.openai.com/v1/chat/completions")
    told = found(standing(of))
    assert written(told).connector.references["key"].model_dump(exclude_none=True) == {
        "conn_id": "openai_default",
        "field": "password",
    }
    assert told.credentials == {"openai_default": {"password": ("key of chat",)}}


@pytest.mark.parametrize(
    ("url", "conn_id"),
    [
        ("http://10.0.0.5:8080/v1/chat/completions", "host_10_0_0_5_default"),
        ("https://llm/v1/chat/completions", "llm_default"),
        ("https://api.cohere.ai/v1/embed", "cohere_default"),
    ],
)
def test_a_connection_is_named_by_the_platform_or_its_host(url: str, conn_id: str) -> None:
    assert list(found(standing(blueprint(connector__actions__0__url=url))).credentials) == [conn_id]


def with_header(value: str, **parameters: str) -> Fleet:
    of = blueprint()
    held = as_stored(of)
    held["actions"] = [{**held["actions"][0], "headers": {"Authorization": value}}]
    held["parameters"] = {**held["parameters"], **parameters}
    return Fleet([held], [model(of, "m", "c")], VERSION)


def test_a_secret_in_a_header_becomes_a_reference_and_is_told_and_nowhere_shown() -> None:
    fleet = with_header(f"Bearer {SECRET}")
    told = found(fleet)
    assert written(told).connector.actions[0].headers == {"Authorization": "Bearer ${credential.api_key}"}
    assert any("Authorization held the secret itself" in note for note in told.blueprints[0].notes)
    assert SECRET not in repr(told)
    assert differences(told, fleet) == ["actions.0.headers.Authorization"]


def test_a_secret_among_the_parameters_becomes_a_reference_too() -> None:
    fleet = with_header("Bearer ${parameters.api_key}", api_key=SECRET)
    told = found(fleet)
    assert written(told).connector.actions[0].headers == {"Authorization": "Bearer ${credential.api_key}"}
    assert SECRET not in repr(told)


def test_a_connector_whose_headers_need_nothing_still_gets_the_credential_that_the_server_wants() -> None:
    of = blueprint()
    held = as_stored(of)
    del held["actions"][0]["headers"]
    told = found(Fleet([held], [model(of, "m", "c")], VERSION))
    assert list(written(told).connector.credential) == ["api_key"]
    assert any("any text will do" in note for note in told.blueprints[0].notes)


SIGNED: dict[str, Any] = {
    "connector__protocol": "aws_sigv4",
    "connector__credential": {"access_key": {"conn_id": "a"}, "secret_key": {"conn_id": "b"}},
    "connector__parameters": {"region": "eu-central-1", "service_name": "sagemaker"},
    "connector__actions__0__url": "https://runtime.sagemaker.eu-central-1.amazonaws.com/endpoints/e/invocations",
    "connector__actions__0__headers": {"Content-Type": "application/json"},
    "connector__actions__0__request_body": '{"inputs": "${parameters.inputs}"}',
    "smoke_test": None,
}


def test_keys_that_sign_are_references_and_a_role_on_a_domain_is_a_variable() -> None:
    fleet = standing(blueprint(**SIGNED))
    assert found(fleet).credentials == {
        "aws_default": {"login": ("access_key of chat",), "password": ("secret_key of chat",)}
    }
    on_domain = found(fleet, is_domain=True)
    role = written(on_domain, FRANKFURT, role_name="signs").connector.credential["roleArn"]
    assert role == "arn:aws:iam::111122223333:role/signs"
    assert any("role_name has no value" in note for note in on_domain.blueprints[0].notes)


def test_where_a_connector_signs_is_told_by_its_url_if_its_credential_says_it() -> None:
    of = blueprint(**SIGNED)
    held = as_stored(of, parameters={})
    told = found(Fleet([held], [model(of, "m", "c")], VERSION))
    credential = written(told).connector.credential
    assert (credential["region"], credential["service_name"]) == ("eu-central-1", "sagemaker")
    assert differences(told, Fleet([held], [model(of, "m", "c")], VERSION)) == []


def test_what_a_blueprint_may_not_say_is_left_out_with_the_difference_told() -> None:
    of = blueprint()
    held = as_stored(
        of,
        description="Grüße für alle; <b>",
        client_config=canonical.client_defaults(VERSION) | {"max_retry_times": 3},
        surprise=1,
    )
    fleet = Fleet([held], [model(of, "m", "c", description="100 % <3")], VERSION)
    told = found(fleet)
    [one] = told.blueprints
    assert one.is_valid
    for path in ("connector.description", "model.description", "connector.client_config.max_retry_times"):
        assert any(note.startswith(f"{path} is left out: it ") for note in one.notes), path
    assert "connector.surprise is left out: no documented field of a blueprint has that name." in one.notes
    assert differences(told, fleet) == ["client_config.max_retry_times", "description"]


def test_what_must_be_mended_by_a_person_is_told_and_written_all_the_same() -> None:
    of = blueprint()
    held = as_stored(of)
    held["actions"] = [{**held["actions"][0], "url": "https://${parameters.host}/v1"}]
    [one] = found(Fleet([held], [model(of, "m", "c")], VERSION)).blueprints
    assert not one.is_valid
    assert any(note.startswith("To be mended: connector.actions.0.url") for note in one.notes)
    assert "${parameters.host}" in one.yaml_text


def test_a_text_that_a_blueprint_would_fill_is_to_be_mended() -> None:
    of = blueprint()
    held = as_stored(of, parameters={"model": "small", "prompt": "Say ${variables.x}"})
    [one] = found(Fleet([held], [model(of, "m", "c")], VERSION)).blueprints
    assert not one.is_valid
    assert any(note.startswith("To be mended: connector.parameters.prompt: holds ${variables.") for note in one.notes)


def test_an_mcp_connector_is_adopted_by_its_own_id() -> None:
    of = CATALOG.blueprint("mcp_sse")
    told = found(standing(of))
    assert told.adopt == {told.blueprints[0].name: "c"}
    assert written(told).connector.url == of.connector.url


def test_ours_are_left_out_and_named_with_their_canaries() -> None:
    ours, theirs = blueprint("ours"), blueprint("theirs")
    connectors, models = stands(ours)
    models.append(canary(ours, "c-ours"))
    fleet = Fleet([*connectors, foreign(theirs, "f")], [*models, model(theirs, "t", "f")], VERSION)
    told = found(fleet)
    assert told.adopt == {"theirs": "t"}
    assert told.left_out == ("ours: managed by opensearch_ml already",)


def test_names_are_never_those_that_stand_already() -> None:
    ours = blueprint("chat")
    connectors, models = stands(ours)
    other = foreign(ours, "f")
    fleet = Fleet(
        [*connectors, other], [*models, model(ours, "t", "f"), model(ours, "u", "f", created_time=9)], VERSION
    )
    told = found(fleet)
    assert told.adopt == {"chat_2": "t", "chat_3": "u"}
    assert {yaml.safe_load(one.yaml_text)["model"]["name"] for one in told.blueprints} == {"chat"}
    assert any("its connector f also serves model u, and will go on to" in note for note in told.blueprints[0].notes)


def test_a_lost_connector_and_an_unused_one_are_told_and_the_latter_is_written_if_it_is_named() -> None:
    of = blueprint()
    fleet = Fleet([as_stored(of, connector_id="unused")], [model(of, "m", "gone")], VERSION)
    told = found(fleet)
    assert told.blueprints == ()
    assert [one.partition(":")[0] for one in told.left_out] == ["model m (chat)", "connector unused (chat)"]
    named = found(fleet, "unused")
    assert [one.name for one in named.blueprints] == ["chat"]
    assert named.adopt == {}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("one", ["one"]),
        ("t*", ["two"]),
        ("m-two", ["two"]),
        ("c-one", ["one"]),
        ("*", ["one", "two"]),
        ("three", []),
    ],
)
def test_only_what_is_named_is_imported(pattern: str, names: list[str]) -> None:
    both = [blueprint("one"), blueprint("two")]
    fleet = Fleet(
        [foreign(of, f"c-{of.name}") for of in both],
        [model(of, f"m-{of.name}", f"c-{of.name}") for of in both],
        VERSION,
    )
    told = found(fleet, pattern)
    assert [one.name for one in told.blueprints] == names
    assert bool(told.left_out) == (not names)


BODIES: dict[str, tuple[str, str, Mapping[str, Any] | None]] = {
    "chat": (
        '{"messages": ${parameters.messages}}',
        "",
        {"parameters": {"messages": [{"role": "user", "content": "Say hello."}]}},
    ),
    "text": ('{"prompt": "${parameters.prompt}"}', "", {"parameters": {"prompt": "A short sentence."}}),
    "inside a text": ('{"prompt": "Human: ${parameters.prompt}"}', "", {"parameters": {"prompt": "A short sentence."}}),
    "vectors": (
        '{"input": ${parameters.input}}',
        "connector.post_process.openai.embedding",
        {"parameters": {"input": ["A short sentence."]}},
    ),
    "given": ('{"model": "${parameters.model}", "n": ${parameters.n:-3}}', "", {"parameters": {}}),
    "unknown": ('{"model": "${parameters.frobnicate}"}', "", None),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_smoke_test_is_guessed_where_the_body_tells_it(case: str) -> None:
    body, post_process, expected = BODIES[case]
    action = {"connector__actions__0__request_body": body}
    if post_process:
        action["connector__actions__0__post_process_function"] = post_process
    of = blueprint(**action, smoke_test=None)
    [one] = found(standing(of)).blueprints
    test = yaml.safe_load(one.yaml_text).get("smoke_test")
    assert (test and {"parameters": test["parameters"]}) == expected
    assert any(note.startswith("smoke_test is") for note in one.notes)
    if post_process:
        assert test["expect"] == {"path": "inference_results.0.output.0.data", "type": "array"}


def test_access_is_written_only_where_the_cluster_takes_it() -> None:
    held = as_stored(blueprint(), access="restricted", backend_roles=["a"])
    fleet = Fleet([held], [model(blueprint(), "m", "c")], VERSION)
    on, off = (found(fleet, connector_access=is_on) for is_on in (True, False))
    assert written(on).connector.backend_roles == ["a"]
    assert written(off).connector.backend_roles is None
    assert any("with access control off, as on this cluster, it is refused" in note for note in off.blueprints[0].notes)


def test_a_method_in_small_letters_is_no_difference() -> None:
    of = blueprint()
    held = as_stored(of)
    held["actions"] = [{**held["actions"][0], "method": "post"}]
    fleet = Fleet([held], [model(of, "m", "c")], VERSION)
    assert differences(found(fleet), fleet) == []


def test_bodies_of_ours_are_no_others() -> None:
    of = blueprint("inside", inline=True)
    body = bodies.model(of, model_group_id="g", credential={}, known="k")
    fleet = Fleet([], [cast(ModelDoc, {**body, "id": "m", "algorithm": "REMOTE"})], VERSION)
    assert found(fleet).blueprints == ()
    assert connector(of, "c")["parameters"][canonical.LABEL_OWNER]
