"""Request bodies, filled as the server will fill them, and the parameters that a predict has to bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.models import Action, Blueprint
from opensearch_ml.blueprint.placeholders import PLACEHOLDER, as_text
from opensearch_ml.checks import request_body
from opensearch_ml.errors import Finding


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield bodies that the server would not send, and parameters that nothing fills."""
    own = blueprint.connector.parameters
    given = blueprint.smoke_test.parameters if blueprint.smoke_test else {}
    for index, action in enumerate(blueprint.connector.actions):
        path = f"connector.actions.{index}.request_body"
        tested = given if action.action_type == "predict" else {}
        if action.request_body is None:
            yield from _no_body(path, action, {**own, **tested})
        else:
            yield from _body(path, action.request_body, own, tested)
            yield from _as_text(path, action.request_body, request_body.of_connector({**own, **given}))
    if request_body.NO_ESCAPE in own:
        yield Finding(
            f"connector.parameters.{request_body.NO_ESCAPE}",
            "does nothing here: the server reads it from a predict's own parameters",
            "Give it in smoke_test.parameters, and with every predict.",
        )
    yield from _unfilled(blueprint)


def _no_body(path: str, action: Action, parameters: Mapping[str, Any]) -> Iterator[Finding]:
    if action.method == "POST" and action.action_type != "cancel_batch_predict" and "http_body" not in parameters:
        yield Finding(
            path, "is missing, and the server sends no POST without one", "Add it; request_body: '{}' if it needs none."
        )


def _body(path: str, body: str, own: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Finding]:
    values = {**request_body.of_connector(own), **request_body.of_predict(given)}
    try:
        if _may_be_sent(body, values):
            return
    except request_body.Endless as endless:
        where = "smoke_test" if endless.name in given else "connector"
        problem = "holds itself, or others without end, and the server gives up filling it"
        yield Finding(f"{where}.parameters.{endless.name}", problem, "Write its value itself.")
        return
    # One parameter without which it would be JSON is where the mistake is.
    for name in sorted(placeholders.names(body, "parameters") & values.keys()):
        if _may_be_sent(body, {other: value for other, value in values.items() if other != name}):
            where = "smoke_test" if name in given else "connector"
            yield Finding(
                f"{where}.parameters.{name}",
                f"makes no JSON of {path} when it is filled in, and the server sends nothing else",
                'Give it the type that the body has a place for; in a connector\'s own text, write " as \\".',
            )
            return
    yield Finding(
        path,
        "is no JSON once its placeholders are filled, and the server sends nothing else",
        'Correct it: text needs quotes around the placeholder ("${parameters.x}"), numbers and arrays none.',
    )


def _as_text(path: str, body: str, values: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(placeholders.names(body, "parameters")):
        base = name.removesuffix(request_body.TO_STRING)
        if base != name and not request_body.fills_as_text(base, values):
            yield Finding(
                path,
                f"uses ${{parameters.{name}}}, which the server fills only if a parameter's own text uses it too",
                f"Write ${{parameters.{base}}}, or put the text around it into a parameter.",
            )


def _may_be_sent(body: str, values: Mapping[str, str]) -> bool:
    text = request_body.filled(body, values)
    # What is not known yet may be anything: 1 fits with quotes around it and without.
    return bool(PLACEHOLDER.fullmatch(text.strip())) or request_body.is_json_or_ndjson(PLACEHOLDER.sub("1", text))


def _unfilled(blueprint: Blueprint) -> Iterator[Finding]:
    test, parameters = blueprint.smoke_test, blueprint.connector.parameters
    action = next((one for one in blueprint.connector.actions if one.action_type == "predict"), None)
    if test is None or action is None or as_text(parameters.get("skip_validating_missing_parameters", "")) == "true":
        return
    texts = [action.url, action.request_body or "", *(action.headers or {}).values()]
    asked = set().union(*(placeholders.names_without_default(text, "parameters") for text in texts))
    needed = {name.removesuffix(request_body.TO_STRING) for name in asked}
    for name in sorted(needed - parameters.keys() - test.parameters.keys()):
        yield Finding(
            f"smoke_test.parameters.{name}",
            f"is missing: the action uses ${{parameters.{name}}}, and the server refuses a predict without it",
            f"Add {name} to smoke_test.parameters, or a default to connector.parameters.",
        )
