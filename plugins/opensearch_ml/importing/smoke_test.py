"""A smoke test for a connector that came without one: guessed of what its body asks for, for a person to read.

A swap tests with it, and a wrong one only keeps the swap from happening. Nothing is asked of the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from opensearch_ml.blueprint import placeholders
from opensearch_ml.importing.docs.expectation import OUTPUT

SENTENCE = "A short sentence."
# By the name of the parameter, what platforms take under it.
SAMPLES: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say hello."}],
    "documents": ["A short sentence.", "Another one."],
    **dict.fromkeys(
        (
            *("input", "inputs", "input_text", "inputText", "text", "texts", "prompt", "message", "question", "query"),
            *("instances", "content", "context", "search_query"),
        ),
        SENTENCE,
    ),
}
ROLES = {"messages": [{"role": "user", "content": [{"text": "Say hello."}]}]}  # as Bedrock's Converse takes them
VECTORS = re.compile(r"connector\.post_process\..*(?:embedding|\.float|rerank)")
ANSWERS = {  # by the end of a URL: where the text is, and what it is
    "/chat/completions": f"{OUTPUT}.dataAsMap.choices.0.message.content",
    "/completions": f"{OUTPUT}.dataAsMap.choices.0.text",
    "/converse": f"{OUTPUT}.dataAsMap.output.message.content.0.text",
}


def smoke_test(connector: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return a smoke test, or None if the parameters cannot be guessed; and what a person should know of it.

    :param connector: a blueprint's.
    :param model: a blueprint's, for the length of its vectors.
    """
    predict = next((one for one in connector.get("actions", ()) if one.get("action_type") == "predict"), None)
    if predict is None:
        return None, "smoke_test is missing: the connector has no predict action."
    url, body = str(predict.get("url", "")), str(predict.get("request_body", ""))
    asked = placeholders.names_without_default(f"{url} {body}", "parameters") - connector.get("parameters", {}).keys()
    unknown = sorted(asked - SAMPLES.keys())
    if unknown:
        return None, (
            f"smoke_test is missing, because what to send as {', '.join(unknown)} is not known. "
            "Write one: without it a changed key or definition is never swapped in."
        )
    samples = SAMPLES | (ROLES if url.endswith("/converse") else {})
    parameters = {name: _fitting(samples[name], name, body) for name in sorted(asked)}
    expected, is_known = _expected(url, str(predict.get("post_process_function") or ""), model)
    doubt = "" if is_known else " It takes any answer: write what a good one holds."
    test = {"parameters": parameters, "expect": expected}
    return test, f"smoke_test is guessed from the request body, and was not tried; a swap tests with it.{doubt}"


def _fitting(sample: Any, name: str, body: str) -> Any:
    before = body.partition(f"${{parameters.{name}}}")[0].replace('\\"', "")
    in_quotes = before.count('"') % 2
    return [sample] if isinstance(sample, str) and not in_quotes else sample


def _expected(url: str, post_process: str, model: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    if VECTORS.fullmatch(post_process.strip()):
        dimension = (model.get("model_config") or {}).get("embedding_dimension")
        return {"path": f"{OUTPUT}.data", "type": "array"} | ({"dimension": dimension} if dimension else {}), True
    path = next((path for end, path in ANSWERS.items() if not post_process and url.endswith(end)), None)
    if path:
        return {"path": path, "type": "string"}, True
    return {"path": OUTPUT, "type": "object"}, False
