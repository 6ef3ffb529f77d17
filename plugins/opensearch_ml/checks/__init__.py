"""What a blueprint may not say although its fields are well-formed: the server takes it; it breaks or leaks later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opensearch_ml import aws_checks, literal_secrets, placeholders, trusted_endpoints
from opensearch_ml.errors import Finding
from opensearch_ml.findings import closest, nearest
from opensearch_ml.placeholders import as_text

if TYPE_CHECKING:
    from opensearch_ml.blueprint import Blueprint, Connector

MARK_PREFIX = "opensearch_ml_"
REFERENCE_HINT = "{conn_id: my_connection, field: password}"

# A caller of predict could set these; 3.7 refuses them. Source: ml-commons 3.7 AbstractConnector.
NEVER_DYNAMIC = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-auth-header"),
        *("x-forwarded-for", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip", "x-originating-ip"),
        *("host", "x-forwarded-host", "x-forwarded-server", "forwarded"),
    }
)
# Any other name is compiled as a Painless script, which fails at predict. Source: ml-commons 3.6 to main.
FUNCTIONS = {
    "pre_process_function": frozenset(
        f"connector.pre_process.{name}"
        for name in (
            *("cohere.embedding", "cohere.multimodal_embedding", "cohere.rerank", "openai.embedding"),
            *("bedrock.embedding", "bedrock.multimodal_embedding", "bedrock.rerank", "bedrock.nova.embedding"),
            *("bedrock.nova.text_embedding", "bedrock.nova.image_embedding", "bedrock.nova.video_embedding"),
            *("bedrock.nova.audio_embedding", "default.embedding", "default.rerank"),
        )
    ),
    "post_process_function": frozenset(
        f"connector.post_process.{name}"
        for name in (
            *("cohere.embedding", "cohere.rerank", "cohere_v2.embedding.float", "cohere_v2.embedding.int8"),
            *("cohere_v2.embedding.uint8", "cohere_v2.embedding.binary", "cohere_v2.embedding.ubinary"),
            *("openai.embedding", "bedrock.embedding", "bedrock.rerank", "bedrock.batch_job_arn"),
            *("bedrock_v2.embedding.float", "bedrock_v2.embedding.binary", "bedrock.nova.embedding"),
            *("default.embedding", "default.rerank", "mlcommons.passthrough"),
        )
    ),
}
# From 3.1 on the server refuses names and descriptions with anything else. Source: ml-commons 3.6 StringUtils.
PLAIN_TEXT = re.compile(r"""[\w \t\n\r.,!?():@\-/'"]*""")
MAX_VALUE_BYTES = 32_000  # Lucene takes 32,766 bytes, of which the server needs some for the field's path
ALMOST_PLACEHOLDER = re.compile(r"\$\{(?P<kind>\s*\w+\s*)\.(?P<name>[^}:]*)")


def findings(blueprint: Blueprint) -> list[Finding]:
    """Return everything that is wrong with a well-formed blueprint."""
    connector = blueprint.connector
    return [
        *_texts(blueprint),
        *_credential(connector),
        *_literal_secrets(blueprint),
        *_placeholders(connector),
        *_dynamic_headers(connector),
        *_actions(connector),
        *_request_bodies(connector),
        *_urls(connector),
        *_trusted_endpoints(blueprint),
        *(_inline_access(connector) if blueprint.inline else _access(connector, "connector")),
        *(_access(blueprint.model.group, "model.group") if blueprint.model.group else ()),
        *_protocol(blueprint),
        *aws_checks.findings(blueprint),
        *_smoke_test(blueprint),
    ]


def _texts(blueprint: Blueprint) -> Iterator[Finding]:
    model = blueprint.model
    for part, path in ((blueprint.connector, "connector"), (model, "model"), (model.group, "model.group")):
        for field in ("name", "description"):
            if not PLAIN_TEXT.fullmatch(getattr(part, field, None) or ""):
                yield Finding(
                    f"{path}.{field}",
                    "holds a character that the server refuses from 3.1 on",
                    "Use letters, digits, spaces and . , ! ? ( ) : @ - _ ' / \" only.",
                )
    connector = blueprint.connector.model_dump(include={"actions", "parameters"}, exclude_none=True)
    connector["parameters"] = {name: as_text(value) for name, value in connector["parameters"].items()}
    for path, text in placeholders.strings(connector, "connector"):
        if len(text.encode(errors="replace")) > MAX_VALUE_BYTES:
            yield Finding(path, f"is longer than the {MAX_VALUE_BYTES} bytes that the server can store", "Shorten it.")


def _credential(connector: Connector) -> Iterator[Finding]:
    for key, value in connector.credential.items():
        wrong = aws_checks.literal_problem(key, value) if isinstance(value, str) else None
        if wrong:
            problem, form = wrong
            yield Finding(
                f"connector.credential.{key}",
                f"{problem}, and a secret may stand in no file",
                f"Write {f'{form}, or ' if form else ''}a reference instead: {key}: {REFERENCE_HINT}.",
            )
    if not connector.credential and not connector.is_mcp:
        yield Finding(
            "connector.credential",
            "is empty, which the server refuses even where no header uses it",
            f"Give it one key, for instance key: {REFERENCE_HINT}.",
        )
    for key in connector.parameters:
        if key.startswith(MARK_PREFIX):
            yield Finding(
                f"connector.parameters.{key}", "has a name that is kept for our own marks", "Use another name."
            )


def _literal_secrets(blueprint: Blueprint) -> Iterator[Finding]:
    connector = blueprint.connector
    written = blueprint.model_dump(by_alias=True, exclude={"connector": {"credential"}})
    found = {
        path
        for path, text in placeholders.strings(written)
        if literal_secrets.in_value(text) or (path.endswith("url") and literal_secrets.in_query(text))
    }
    for path, headers in connector.headers_by_path:
        found |= {
            f"{path}.{name}"
            for name, value in headers.items()
            if literal_secrets.is_header(name) and not placeholders.names(value, "credential")
        }
    found |= {
        f"connector.parameters.{name}"
        for name, value in connector.parameters.items()
        if literal_secrets.is_parameter(name) and value
    }
    for path in sorted(found):
        yield Finding(
            path,
            "holds a literal secret, or stands where one does; whoever reads the file or the connector can read it",
            f"Put it under connector.credential as {REFERENCE_HINT} and write ${{credential.<key>}} in a header.",
        )


def _placeholders(connector: Connector) -> Iterator[Finding]:
    for path, headers in connector.headers_by_path:
        for name, value in headers.items():
            for key in sorted(placeholders.names(value, "credential") - connector.credential.keys()):
                if key.startswith("secretArn.") and "secretArn" in connector.credential:
                    continue  # a value of the JSON that the secret holds
                yield Finding(
                    f"{path}.{name}",
                    f"uses ${{credential.{key}}}, which is not there: the server would send the placeholder itself",
                    f"Add {key} under connector.credential.",
                )
    for path, text in _templates(connector):
        if ".headers." not in path and placeholders.names(text, "credential"):
            yield Finding(
                path, "uses ${credential.…}, which the server fills in headers only", "Move it into a header."
            )
        for match in ALMOST_PLACEHOLDER.finditer(text):
            kind = closest(match["kind"].strip(), placeholders.KINDS)
            if kind and (kind != match["kind"] or match["name"] != match["name"].strip()):
                yield Finding(
                    path,
                    f"holds ${{{match['kind']}.…}}, which nobody fills as it is written",
                    f"Write ${{{kind}.…}}, without spaces.",
                )


def _dynamic_headers(connector: Connector) -> Iterator[Finding]:
    for path, headers in connector.headers_by_path:
        for name, value in headers.items():
            if placeholders.names(value, "parameters") and (connector.is_mcp or name.lower() in NEVER_DYNAMIC):
                yield Finding(
                    f"{path}.{name}",
                    "uses ${parameters.…}, which a caller of predict could set; the server refuses it from 3.7 on",
                    "Use ${credential.…}, or write the value itself.",
                )


def _actions(connector: Connector) -> Iterator[Finding]:
    seen: dict[tuple[Any, Any], int] = {}
    for index, action in enumerate(connector.actions):
        first = seen.setdefault((action.action_type, action.name), index)
        if first != index:
            yield Finding(
                f"connector.actions.{index}",
                f"is a second {action.action_type} action: the server only ever uses the first",
                f"Remove one of actions {first} and {index}.",
            )
        for field, known in FUNCTIONS.items():
            name = getattr(action, field) or ""
            if name.lstrip().startswith("connector.") and name not in known:
                yield Finding(
                    f"connector.actions.{index}.{field}",
                    "names no function of the server, which would run it as a script and fail at predict",
                    nearest(name, known),
                )


def _request_bodies(connector: Connector) -> Iterator[Finding]:
    if "no_escape_params" in connector.parameters:
        return  # then a parameter may bring any part of the JSON
    for index, action in enumerate(connector.actions):
        body = action.request_body
        if body is not None and not placeholders.PLACEHOLDER.fullmatch(body.strip()) and not _is_json(body):
            yield Finding(
                f"connector.actions.{index}.request_body",
                "is no JSON once its placeholders are filled, and the server sends nothing else",
                'Correct it: text needs quotes around the placeholder ("${parameters.x}"), numbers and arrays none.',
            )


def _is_json(body: str) -> bool:
    filled = placeholders.PLACEHOLDER.sub("1", body)  # fits with quotes around it and without
    for text in ([filled], filled.strip().splitlines()):  # one document, or one in each line
        try:
            if text and all(isinstance(json.loads(part, strict=False), (dict, list)) for part in text):
                return True
        except ValueError:
            continue
    return False


def _urls(connector: Connector) -> Iterator[Finding]:
    paths = [f"connector.actions.{index}.url" for index in range(len(connector.actions))]
    for path, url in zip([*paths, "connector.url"], connector.urls, strict=False):
        if problem := trusted_endpoints.url_problem(url, connector.parameters):
            yield Finding(path, problem, "Write the whole URL, or use ${variables.x} for what differs between targets.")


def _trusted_endpoints(blueprint: Blueprint) -> Iterator[Finding]:
    patterns = blueprint.trusted_endpoints or []
    urls = {
        url: trusted_endpoints.example_url(url, blueprint.connector.parameters)
        for url in blueprint.connector.urls
        if not trusted_endpoints.url_problem(url, blueprint.connector.parameters)
    }
    for index, pattern in enumerate(patterns):
        problem = trusted_endpoints.problem(pattern)
        if not problem and urls and not any(trusted_endpoints.covers(pattern, example) for example in urls.values()):
            problem = "matches no URL of the connector, so it would never be used"
        if problem:
            yield Finding(
                f"trusted_endpoints.{index}",
                problem,
                r"Write it like ^https://api\.example\.com/v1/embeddings$, or leave it out: the URL tells it.",
            )
    for example in urls.values():
        if patterns and not any(trusted_endpoints.covers(pattern, example) for pattern in patterns):
            yield Finding(
                "trusted_endpoints",
                "no pattern matches the connector's own URL",
                "Leave trusted_endpoints out: the URL tells what to trust.",
            )


def _access(scope: Any, path: str) -> Iterator[Finding]:
    roles, mode = scope.backend_roles, scope.access_mode
    if mode in ("public", "private") and (roles or scope.add_all_backend_roles):
        yield Finding(
            f"{path}.backend_roles", f"cannot go with access_mode {mode}", "Use access_mode: restricted, or no roles."
        )
    if roles and scope.add_all_backend_roles:
        yield Finding(
            f"{path}.backend_roles", "cannot go with add_all_backend_roles, which adds all of the caller's", "Use one."
        )
    if mode == "restricted" and not roles and not scope.add_all_backend_roles:
        yield Finding(
            f"{path}.access_mode", "is restricted to nobody", "Add backend_roles or add_all_backend_roles: true."
        )


def _inline_access(connector: Connector) -> Iterator[Finding]:
    for field in ("access_mode", "backend_roles", "add_all_backend_roles"):
        if getattr(connector, field) is not None:
            yield Finding(
                f"connector.{field}",
                "is for standalone connectors: whoever may use the model may use the connector inside it",
                f"Move it to model.group.{field}.",
            )


def _protocol(blueprint: Blueprint) -> Iterator[Finding]:
    connector = blueprint.connector
    if connector.is_mcp:
        if not connector.url:
            yield Finding("connector.url", "is missing", "MCP protocols need the server's URL.")
        if connector.actions or blueprint.inline or blueprint.smoke_test:
            yield Finding(
                "connector.protocol",
                f"{connector.protocol} has no actions and no model",
                "Remove actions, inline and smoke_test, or use protocol http.",
            )
        return
    if not any(action.action_type == "predict" for action in connector.actions):
        yield Finding("connector.actions", "has no predict action, so no model on it could answer", "Add one.")
    if connector.url or connector.headers:
        yield Finding(
            "connector.url", "url and headers beside actions are for MCP protocols", "Move them into actions."
        )


def _smoke_test(blueprint: Blueprint) -> Iterator[Finding]:
    test, parameters = blueprint.smoke_test, blueprint.connector.parameters
    action = next((one for one in blueprint.connector.actions if one.action_type == "predict"), None)
    if test is None or action is None or as_text(parameters.get("skip_validating_missing_parameters", "")) == "true":
        return
    asked = placeholders.names_without_default(f"{action.url} {action.request_body}", "parameters")
    needed = {name.removesuffix(".toString()") for name in asked}
    for name in sorted(needed - parameters.keys() - test.parameters.keys()):
        yield Finding(
            f"smoke_test.parameters.{name}",
            f"is missing: the action uses ${{parameters.{name}}}, and the server refuses a predict without it",
            f"Add {name} to smoke_test.parameters, or a default to connector.parameters.",
        )


def _templates(connector: Connector) -> Iterator[tuple[str, str]]:
    for index, action in enumerate(connector.actions):
        parts = action.model_dump(include={"url", "headers", "request_body"}, exclude_none=True)
        yield from placeholders.strings(parts, f"connector.actions.{index}")
    yield from placeholders.strings(connector.parameters, "connector.parameters")
    yield from placeholders.strings({"url": connector.url, "headers": connector.headers}, "connector")
