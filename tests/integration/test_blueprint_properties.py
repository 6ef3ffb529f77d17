"""Whatever a blueprint says: what is accepted the server takes and gives back unchanged, and no secret comes out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from opensearch_ml import cli
from opensearch_ml.blueprint import loader as files
from opensearch_ml.blueprint import placeholders, trusted_endpoints
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.cli.places import FINDINGS, OK
from opensearch_ml.errors import InvalidBlueprint
from opensearch_ml.hook import OpenSearchMLHook
from opensearch_ml.importing.from_docs import Imported
from opensearch_ml.resources import canonical
from opensearch_ml.steps.cluster_settings import ensure_trusted_endpoints
from tests.support import seeds
from tests.support.cluster import connections
from tests.support.documented import BODY, CREATE, DUMPED, SCRIPT, canonical_body, only, parsed
from tests.support.generated_documents import AWS_HOST, HOSTS, Document, documents
from tests.support.parsing import parse_blueprint

pytestmark = pytest.mark.slow

EXAMPLES = 120
SHOWN = 50  # each by every command and in every format
# The same examples in every run; nothing is kept between runs. A fixture's server is shared by all on purpose.
SAME_ALWAYS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
CANARY = "sk-proj-C4n4ryThatMustNeverShowUpAnywhere0123456789"
SHAPELESS = "C4n4ry of no shape: $e^cret"  # nothing tells that this is a secret, but where it comes from


def accepted(document: Document) -> Blueprint | None:
    """The blueprint of a document, or None if it is refused."""
    try:
        return parse_blueprint("generated", copy.deepcopy(document), source="generated")
    except InvalidBlueprint:
        return None


# ---- what is accepted here is accepted there


@pytest.fixture
def trusting(hook36: OpenSearchMLHook) -> OpenSearchMLHook:
    """A cluster that trusts whatever is generated."""
    whole_hosts = [trusted_endpoints.derive(host, {}).removesuffix("$") for host in (*HOSTS, AWS_HOST)]
    hook36.put_trusted_endpoints([f"{host}.*$" for host in whole_hosts])
    return hook36


def test_what_is_accepted_here_the_server_accepts_and_gives_back_without_drift(trusting: OpenSearchMLHook) -> None:
    taken: list[str] = []

    @SAME_ALWAYS
    @given(documents())
    def proven(document: Document) -> None:
        blueprint = accepted(document)
        event("accepted" if blueprint else "refused")
        if blueprint is None:
            return
        credential = dict.fromkeys(blueprint.connector.references, "not-a-real-secret")
        connector_id = trusting.create_connector(canonical.connector_body(blueprint, credential))
        try:
            found = trusting.get_connector(connector_id)
            assert found is not None
            assert canonical.differences(blueprint, credential, found, trusting.version) == ()
        finally:
            trusting.delete_connector(connector_id)
        taken.append(blueprint.connector.protocol)

    proven()
    assert len(taken) >= EXAMPLES * 0.6, "the generator makes too much that is refused to prove anything"
    assert {"http", "aws_sigv4"} <= set(taken)


# ---- no secret comes out

Shown = Callable[[Document], tuple[set[int], str]]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shown]:
    """Validates and renders a document, in every format, where its connection and variable are resolvable."""
    folder = tmp_path / "blueprints"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIRFLOW_VAR_GENERATED", SHAPELESS)
    connection = {"conn_type": "http", "login": CANARY, "password": SHAPELESS, "extra": {"aws_session_token": CANARY}}
    path = folder / "generated.yaml"

    def call(document: Document) -> tuple[set[int], str]:
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        commands = [
            *(("validate", "--format", kind) for kind in ("text", "json", "github")),
            *(("render", "--format", kind) for kind in ("http", "json")),
        ]
        codes = {cli.main([*command, "blueprints/generated.yaml"]) for command in commands}
        told = capsys.readouterr()
        return codes, told.out + told.err

    with connections(generated=json.dumps(connection)):
        yield call


def assert_no_canary(text: str) -> None:
    for secret in (CANARY, SHAPELESS):
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
    assert "c4n4ry" not in text.lower()


def test_what_is_rendered_refers_to_secrets_and_holds_none(shown: Shown) -> None:
    rendered: list[bool] = []

    @settings(SAME_ALWAYS, max_examples=SHOWN)
    @given(documents())
    def proven(document: Document) -> None:
        codes, text = shown(document)
        assert codes == ({OK} if accepted(document) else {FINDINGS})
        assert_no_canary(text)
        rendered.append(codes == {OK})

    proven()
    assert sum(rendered) >= SHOWN * 0.6


def test_a_literal_secret_is_refused_wherever_it_stands_and_never_repeated(shown: Shown) -> None:
    places: set[Any] = set()

    @settings(SAME_ALWAYS, max_examples=SHOWN)
    @given(documents().filter(accepted), st.data())
    def proven(document: Document, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(leaves(document["connector"])))
        before = data.draw(st.sampled_from(["", "Bearer ", "a text with "]))
        put(document["connector"], place, before + CANARY)
        codes, text = shown(document)
        assert codes == {FINDINGS}, place
        assert_no_canary(text)
        places.add(place[0])

    proven()
    assert {"name", "actions", "parameters"} <= places


@pytest.mark.parametrize("reference", [{"conn_id": CANARY}, {"variable": CANARY}])
def test_a_literal_secret_in_the_place_of_a_name_is_refused_and_never_repeated(
    shown: Shown, reference: dict[str, str]
) -> None:
    document = {"connector": {**json.loads(DUMPED), "credential": {"api_key": reference}}}
    codes, text = shown(document)
    assert codes == {FINDINGS}
    assert_no_canary(text)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything that is no mapping and no list."""
    if isinstance(tree, Mapping):
        return [leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))]
    if isinstance(tree, list):
        return [leaf for at, value in enumerate(tree) for leaf in leaves(value, (*path, at))]
    return [path]


def put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    for part in path[:-1]:
        tree = tree[part]
    tree[path[-1]] = value


# ---- what is imported is created as documented


def page_of(body: dict[str, Any]) -> str:
    """A documentation page that shows a body whose secrets are left to the reader."""
    credential = {key: "..." if isinstance(value, dict) else value for key, value in body["credential"].items()}
    return f"# A page\n\n```json\n{CREATE}\n{json.dumps({**body, 'credential': credential}, indent=2)}\n```\n"


SEEDS = ("sagemaker_role", "cohere", "bedrock", *seeds.HOST_IN_A_PARAMETER, "sagemaker_template")
PAGES = {
    **{name: (page_of(getattr(seeds, name.upper())), getattr(seeds, name.upper())) for name in SEEDS},
    "a body alone": (DUMPED, BODY),
    "curl": (f"curl -XPOST \"https://localhost:9200/_plugins/_ml/connectors/_create\" -d'\n{DUMPED}'\n", BODY),
    "triple quotes": (f"{CREATE}\n" + DUMPED.replace(json.dumps(SCRIPT), f'"""{SCRIPT}"""'), BODY),
}
PAGES["curl"] = (PAGES["curl"][0].replace("It's", "It'\\''s"), BODY)


@pytest.mark.parametrize("name", PAGES)
def test_what_is_imported_is_stored_as_documented_but_for_what_the_notes_tell(
    hook36: OpenSearchMLHook, name: str
) -> None:
    text, body = PAGES[name]
    imported = only(text)
    blueprint = parsed(imported)
    ensure_trusted_endpoints(hook36, blueprint.trusted)
    # The open-source server assumes no role: keys take its place.
    credential = dict.fromkeys(blueprint.connector.references or ("access_key", "secret_key"), "not-a-real-secret")
    found = hook36.get_connector(hook36.create_connector(canonical.connector_body(blueprint, credential)))
    assert found is not None
    assert canonical.differences(blueprint, credential, found, hook36.version) == ()
    documented, stored = canonical_body(body), canonical_body({**found, "credential": {}})
    untold = [path for path in differing(documented, stored) if not is_told(imported, path)]
    assert untold == []


def differing(documented: Any, stored: Any) -> list[str]:
    """The paths of what is documented and not stored so, and of parameters, headers and actions nobody documented."""
    one, other = dict(flat(documented)), dict(flat(stored))
    more = {path for path in other.keys() - one.keys() if path.startswith(("parameters", "actions"))}
    return sorted({path for path, value in one.items() if other.get(path) != value} | more)


def flat(tree: Any) -> Iterator[tuple[str, str]]:
    for path in leaves(tree):
        value = tree
        for part in path:
            value = value[part]
        told = ".".join(map(str, path))
        # The server writes the names of its enumerations in its own letters.
        yield (
            told,
            str(value).lower() if told.endswith(("action_type", "method", "protocol")) else canonical.as_stored(value),
        )


def is_told(imported: Imported, path: str) -> bool:
    """Whether a note is about this field of the connector, or about a variable in it."""
    written = dict(placeholders.strings(files.parse(imported.yaml_text).content))
    asked = placeholders.names(written.get(f"connector.{path}", ""), "variables")
    about = [f"connector.{path}", *(f"variables.{name}" for name in asked)]
    return any(subject in note for subject in about for note in imported.notes)
