"""A page's predict as a smoke test, and what its answer must hold, told from the answer that the page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opensearch_ml.blueprint import placeholders
from opensearch_ml.importing.docs.page import Request

OUTPUT = "inference_results.0.output.0"
MAX_DEPTH = 12
TELLING = frozenset(
    {"content", "text", "completion", "answer", "generated_text", "generation", "response", "embedding"}
)
ABOUT = frozenset(
    {"id", "object", "model", "role", "type", "created", "finish_reason", "stop_reason", "system_fingerprint"}
)


def smoke_test(
    connector: Mapping[str, Any], predicts: Sequence[Request]
) -> tuple[dict[str, Any], dict[str, Any], str] | None:
    """Return parameters, expectation and a note (or an empty text) for the first predict that fits a connector.

    :return: None if no predict gives the parameters that the connector's predict action asks for.
    """
    action = next(
        (one for one in connector.get("actions", ()) if str(one.get("action_type", "")).lower() == "predict"), None
    )
    if action is None:
        return None
    asked = placeholders.names_without_default(
        f"{action.get('url', '')} {action.get('request_body', '')}", "parameters"
    )
    needed = {name.removesuffix(".toString()") for name in asked} - connector.get("parameters", {}).keys()
    for predict in predicts:
        parameters = predict.body.value.get("parameters")
        if isinstance(parameters, Mapping) and needed <= parameters.keys():
            told = _expected(predict, action, connector.get("parameters", {}))
            note = (
                ""
                if told
                else ("smoke_test.expect asks only for an answer: the page shows none. Say what the answer must hold.")
            )
            return dict(parameters), told or {"path": OUTPUT, "type": "object"}, note
    return None


def _expected(predict: Request, action: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    output = _output(predict.answer.value) if predict.answer else None
    post_process = str(action.get("post_process_function") or "").strip()
    if output is None:
        vector = post_process.startswith("connector.post_process.") and post_process.endswith(("embedding", ".float"))
        return {"path": f"{OUTPUT}.data", "type": "array"} if vector else None
    if isinstance(output.get("data"), list):
        shape = output.get("shape")
        dimension = shape[-1] if isinstance(shape, list) and shape and type(shape[-1]) is int else None
        asked = next((parameters[name] for name in ("dimensions", "dimension") if name in parameters), None)
        dimension = asked if type(asked) is int else dimension  # a page may show one answer for several models
        told: dict[str, Any] = {"path": f"{OUTPUT}.data", "type": "array"}
        return told | ({"dimension": dimension} if dimension and dimension > 0 and len(output["data"]) else {})
    if isinstance(output.get("result"), str):
        return {"path": f"{OUTPUT}.result", "type": "string"}
    for name in ("dataAsMap", "data_as_map"):
        weighed = [(weight, path, kind) for weight, path, kind in _leaves(output.get(name), f"{OUTPUT}.{name}")]
        if weighed:
            # What carries most is what was asked for; ids, roles and counts are short.
            _, path, kind = max(weighed, key=lambda one: one[0])
            return {"path": path, "type": kind}
    return None


def _output(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    results = answer.get("inference_results")
    if isinstance(results, list) and results and isinstance(results[0], Mapping):
        output = results[0].get("output")
        if isinstance(output, list) and output and isinstance(output[0], Mapping):
            return output[0]
    return None


def _leaves(value: Any, path: str, depth: int = MAX_DEPTH) -> Iterator[tuple[int, str, str]]:
    name = path.rpartition(".")[2]
    more = 10**6 * (name in TELLING) - 10**6 * (name in ABOUT)
    if isinstance(value, str):
        yield len(value) + more, path, "string"
    elif isinstance(value, (int, float)):
        yield more, path, "boolean" if isinstance(value, bool) else "number"
    elif isinstance(value, list) and value and all(type(one) in (int, float) for one in value):
        yield 40 * len(value) + more, path, "array"
    elif isinstance(value, list) and value and depth:
        yield from _leaves(value[0], f"{path}.0", depth - 1)
    elif isinstance(value, Mapping) and depth:
        for key, one in value.items():
            if "." not in key and key:
                yield from _leaves(one, f"{path}.{key}", depth - 1)
