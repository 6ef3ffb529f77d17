"""What only some versions of the server know: an older one drops it silently, or refuses it halfway.

Source: ml-commons, each release branch; what 2.19.1 and 3.6.0 do.
"""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.models import Blueprint, Connector
from opensearch_ml.checks import request_body
from opensearch_ml.errors import Finding

Version = tuple[int, ...]

NEWEST: Version = (3, 9)  # of which anything is known here
PROTOCOLS: dict[str, Version] = {"mcp_sse": (3, 0), "mcp_streamable_http": (3, 3)}
ACTION_TYPES: dict[str, Version] = {
    "execute": (2, 15),
    "batch_predict": (2, 16),
    "cancel_batch_predict": (2, 17),
    "batch_predict_status": (2, 17),
}
CONNECTOR_FIELDS: dict[str, Version] = {"provisioned_by": (3, 7)}
ACTION_FIELDS: dict[str, Version] = {"name": (3, 5), "supports_structured_output": (3, 7)}
CLIENT_CONFIG: dict[str, Version] = {
    "max_connection": (2, 13),
    "connection_timeout": (2, 13),
    "read_timeout": (2, 13),
    "retry_backoff_millis": (2, 15),
    "retry_timeout_seconds": (2, 15),
    "max_retry_times": (2, 15),
    "retry_backoff_policy": (2, 15),
    "skip_ssl_verification": (3, 5),
    "mutual_tls_enabled": (3, 9),
    "keystore_type": (3, 9),
}
MODEL_FIELDS: dict[str, Version] = {
    "is_enabled": (2, 12),
    "rate_limiter": (2, 12),
    "guardrails": (2, 13),
    "deploy_setting": (2, 13),
    "interface": (2, 14),
    "provisioned_by": (3, 7),
}
MODEL_TTL: Version = (2, 14)
MODEL_GUARDRAILS: Version = (2, 15)
REMOTE_MODEL_CONFIG: Version = (3, 1)
FUNCTIONS: dict[str, dict[str, Version]] = {
    "pre_process_function": {
        f"connector.pre_process.{name}": since
        for name, since in {
            "cohere.embedding": (2, 9),
            "openai.embedding": (2, 9),
            "default.embedding": (2, 11),
            "bedrock.embedding": (2, 12),
            "cohere.rerank": (2, 12),
            "default.rerank": (2, 12),
            "bedrock.multimodal_embedding": (2, 16),
            "cohere.multimodal_embedding": (2, 19),
            "bedrock.rerank": (2, 19),
            "bedrock.nova.text_embedding": (3, 3, 2),
            "bedrock.nova.image_embedding": (3, 3, 2),
            "bedrock.nova.video_embedding": (3, 3, 2),
            "bedrock.nova.audio_embedding": (3, 3, 2),
            "bedrock.nova.embedding": (3, 5),
        }.items()
    },
    "post_process_function": {
        f"connector.post_process.{name}": since
        for name, since in {
            "cohere.embedding": (2, 9),
            "openai.embedding": (2, 9),
            "default.embedding": (2, 11),
            "bedrock.embedding": (2, 12),
            "cohere.rerank": (2, 12),
            "default.rerank": (2, 12),
            "bedrock.batch_job_arn": (2, 17, 1),
            "bedrock.rerank": (2, 19),
            "cohere_v2.embedding.float": (3, 0),
            "cohere_v2.embedding.int8": (3, 0),
            "cohere_v2.embedding.uint8": (3, 0),
            "cohere_v2.embedding.binary": (3, 0),
            "cohere_v2.embedding.ubinary": (3, 0),
            "bedrock_v2.embedding.float": (3, 0),
            "bedrock_v2.embedding.binary": (3, 0),
            "mlcommons.passthrough": (3, 3),
            "bedrock.nova.embedding": (3, 3, 2),
        }.items()
    },
}
NDJSON_BODIES: Version = (3, 5)
NO_ESCAPE: Version = (3, 0)
STATIC_HEADER_PARAMETERS: Version = (2, 15)
DYNAMIC_HEADER_PARAMETERS: Version = (3, 7)
# Milliseconds in 2.13; then seconds, whose default stayed 30000, more than eight hours, until 3.6.
TIMEOUTS = ("connection_timeout", "read_timeout")
SECONDS_SINCE: Version = (2, 14)
SENSIBLE_DEFAULT_SINCE: Version = (3, 6)
LONGEST_S = 3600  # more than that is milliseconds, meant or not


def findings(blueprint: Blueprint, version: Version) -> list[Finding]:
    """Return what a blueprint says that a server of this version does not know.

    :param version: the server's version, for instance ``(2, 19, 1)``.
    """
    since = {path: needed for path, needed in _used(blueprint) if version < needed}
    found = [
        Finding(
            path,
            f"needs OpenSearch {_text(needed)}, and the cluster runs {_text(version)}",
            f"Remove {path}, or upgrade the cluster.",
        )
        for path, needed in since.items()
    ]
    return [*found, *_timeouts(blueprint, version), *_model_config(blueprint, version)]


def beyond(version: Version) -> str:
    """Say that a version is newer than all that is known here."""
    return f"nothing is known of OpenSearch {_text(version)} beyond {_text(NEWEST)}, by which it was judged"


def _used(blueprint: Blueprint) -> Iterator[tuple[str, Version]]:
    connector, model = blueprint.connector, blueprint.model
    if connector.protocol in PROTOCOLS:
        yield "connector.protocol", PROTOCOLS[connector.protocol]
    yield from _given(connector, CONNECTOR_FIELDS, "connector")
    for index, action in enumerate(connector.actions):
        at = f"connector.actions.{index}"
        if action.action_type in ACTION_TYPES:
            yield f"{at}.action_type", ACTION_TYPES[action.action_type]
        yield from _given(action, ACTION_FIELDS, at)
        for field, since in FUNCTIONS.items():
            if (name := getattr(action, field)) in since:
                yield f"{at}.{field}", since[name]
        if action.request_body and _is_ndjson(action.request_body):
            yield f"{at}.request_body", NDJSON_BODIES
        for name, value in (action.headers or {}).items():
            yield from _header(f"{at}.headers.{name}", value, connector)
    if blueprint.smoke_test and request_body.NO_ESCAPE in blueprint.smoke_test.parameters:
        yield f"smoke_test.parameters.{request_body.NO_ESCAPE}", NO_ESCAPE
    if connector.client_config:
        yield from _given(connector.client_config, CLIENT_CONFIG, "connector.client_config")
    yield from _given(model, MODEL_FIELDS, "model")
    if model.deploy_setting and model.deploy_setting.model_ttl_minutes is not None:
        yield "model.deploy_setting.model_ttl_minutes", MODEL_TTL
    if model.guardrails and model.guardrails.type == "model":
        yield "model.guardrails.type", MODEL_GUARDRAILS
    if model.config and model.config.additional_config:
        yield "model.model_config.additional_config", REMOTE_MODEL_CONFIG


def _given(part: object, fields: dict[str, Version], path: str) -> Iterator[tuple[str, Version]]:
    for field, needed in fields.items():
        if getattr(part, field) is not None:
            yield f"{path}.{field}", needed


def _header(path: str, value: str, connector: Connector) -> Iterator[tuple[str, Version]]:
    if placeholders.names(value, "parameters"):
        # Without a value of the connector's own, an older server sends the placeholder itself.
        dynamic = placeholders.names_without_default(value, "parameters") - connector.parameters.keys()
        yield path, DYNAMIC_HEADER_PARAMETERS if dynamic else STATIC_HEADER_PARAMETERS


def _is_ndjson(body: str) -> bool:
    text = placeholders.PLACEHOLDER.sub("1", body)
    return request_body.is_json_or_ndjson(text) and not request_body.is_json(text)


def _timeouts(blueprint: Blueprint, version: Version) -> Iterator[Finding]:
    config = blueprint.connector.client_config
    if config is None or version < CLIENT_CONFIG["read_timeout"]:
        return
    for field, other in (TIMEOUTS, TIMEOUTS[::-1]):
        path, value = f"connector.client_config.{field}", getattr(config, field)
        if value is None and getattr(config, other) and SECONDS_SINCE <= version < SENSIBLE_DEFAULT_SINCE:
            yield Finding(path, f"is not given, and {_text(version)} would wait 30000 seconds", "Add it, in seconds.")
        elif value is not None and version >= SECONDS_SINCE and value > LONGEST_S:
            problem = f"counts as seconds on {_text(version)}, and is more than an hour"
            yield Finding(path, problem, f"Write {-(-value // 1000)} if milliseconds were meant.")
        elif value is not None and version < SECONDS_SINCE and value <= LONGEST_S // 10:
            yield Finding(path, f"counts as milliseconds on {_text(version)}", f"Write {value * 1000}.")


def _model_config(blueprint: Blueprint, version: Version) -> Iterator[Finding]:
    config = blueprint.model.config
    if config is not None and version < REMOTE_MODEL_CONFIG:
        for field in ("embedding_dimension", "framework_type"):
            if getattr(config, field) is None:
                problem = f"is missing, and {_text(version)} takes no model_config without it"
                yield Finding(f"model.model_config.{field}", problem, "Add it, or remove model_config.")


def _text(version: Version) -> str:
    return ".".join(map(str, version))
