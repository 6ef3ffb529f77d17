"""Pre- and post-process functions: the server's own by name, or Painless, compiled only at the first predict.

Source: ml-commons main MLPreProcessFunction, MLPostProcessFunction and connector/functions/preprocess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.findings import nearest
from opensearch_ml.blueprint.models import Action, Blueprint
from opensearch_ml.blueprint.placeholders import as_text
from opensearch_ml.checks import painless, versions
from opensearch_ml.errors import Finding

PRE, POST = "pre_process_function", "post_process_function"
NAME_ALONE = re.compile(r"(?!(?:params|ctx)\b)[A-Za-z_]\w*(?:\.\w+)+")
# The parameters that a function makes of what neural search or a reranking pipeline asks.
MAKES = {
    "cohere.embedding": {"texts"},
    "cohere.multimodal_embedding": {"images"},
    "cohere.rerank": {"query", "documents"},
    "openai.embedding": {"input"},
    "default.embedding": {"input"},
    "default.rerank": {"query", "documents"},
    "bedrock.embedding": {"inputText"},
    "bedrock.multimodal_embedding": {"inputText", "inputImage"},
    "bedrock.rerank": {"queries", "sources"},
    "bedrock.nova.text_embedding": {"inputText"},
    "bedrock.nova.image_embedding": {"inputImage"},
    "bedrock.nova.video_embedding": {"inputVideo"},
    "bedrock.nova.audio_embedding": {"inputAudio"},
    "bedrock.nova.embedding": {"inputText", "inputImage", "inputVideo", "inputAudio"},
}


def findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield functions that the server does not have, that fit nothing, or that do not compile."""
    parameters = " ".join(as_text(value) for value in blueprint.connector.parameters.values())
    for index, action in enumerate(blueprint.connector.actions):
        path = f"connector.actions.{index}"
        for field, known in versions.FUNCTIONS.items():
            yield from _function(f"{path}.{field}", (getattr(action, field) or ""), known)
        yield from _unused(path, action, parameters)
        yield from _pair(path, action)


def _function(path: str, text: str, known: dict[str, versions.Version]) -> Iterator[Finding]:
    if text in known or not text.strip():
        return
    if text.lstrip().startswith("connector.") or NAME_ALONE.fullmatch(text.strip()):
        yield Finding(
            path,
            "names no function of the server, which would run it as a script and fail at predict",
            nearest(text.strip(), known),
        )
    elif problem := painless.problem(text):
        yield Finding(
            path, f"is Painless that does not compile: it {problem}", "Paste it again, as a block of YAML (`|`)."
        )


def _unused(path: str, action: Action, parameters: str) -> Iterator[Finding]:
    made = MAKES.get((action.pre_process_function or "").removeprefix("connector.pre_process."))
    if made and action.request_body and not made & placeholders.names(action.request_body + parameters, "parameters"):
        names = " or ".join(f"${{parameters.{name}}}" for name in sorted(made))
        yield Finding(
            f"{path}.{PRE}", f"makes {names}, which the request body does not use", f"Write {names} in the body."
        )


def _pair(path: str, action: Action) -> Iterator[Finding]:
    names = (action.pre_process_function or "", action.post_process_function or "")
    kinds = [kind(name) for name in names]
    if all(kinds) and kinds[0] != kinds[1]:
        yield Finding(
            f"{path}.{POST}", f"is for {kinds[1]}, and the pre-process function for {kinds[0]}", "Use a pair."
        )


def kind(name: str) -> str | None:
    """Tell what a function of the server is for; None for one that any connector may have, and for a script."""
    if not name.startswith("connector."):
        return None
    return "rerank" if name.endswith(".rerank") else "embedding" if "embedding" in name else None
