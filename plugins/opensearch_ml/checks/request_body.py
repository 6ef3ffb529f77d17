"""The body of a call to the model, filled as the server fills it.

Source: ml-commons 3.6 ConnectorUtils.escapeRemoteInferenceInputData, HttpConnector.createPayload; what 2.19.1 and 3.6.0
do. The connector's own parameters go in as they are; those of a predict are escaped unless they are JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from opensearch_ml.blueprint import placeholders
from opensearch_ml.blueprint.placeholders import as_text

MAX_LENGTH = 1_000_000  # thirty parameters that hold one another twice are a thousand million characters
NULL_DEFAULT = re.compile(r'"\$\{parameters\.(\w+):-null\}"')
NO_ESCAPE = "no_escape_params"  # of a predict, from 3.0 on: the names, with commas, of what is not escaped
TO_STRING = ".toString()"


class Endless(Exception):  # noqa: N818 (no error of ours: the caller makes a finding of it)
    """A parameter that needs itself, or that grows without end."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def of_connector(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return a connector's own parameters as the server fills them in."""
    return {name: as_text(value) for name, value in parameters.items()}


def of_predict(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return a predict's parameters as the server fills them in: escaped, unless an object or an array."""
    texts = of_connector(parameters)
    plain = {name.strip() for name in texts.get(NO_ESCAPE, "").split(",")}
    return {name: text if name in plain or is_json(text) else json.dumps(text)[1:-1] for name, text in texts.items()}


def filled(body: str, parameters: Mapping[str, str]) -> str:
    """Fill ``${parameters.x}`` in a request body; what has no value stays.

    :raises Endless: a parameter holds itself.
    """
    body = NULL_DEFAULT.sub(lambda match: match[0] if match[1] in parameters else "null", body)
    return _substituted(body, parameters, {}, ())


def fills_as_text(name: str, parameters: Mapping[str, str]) -> bool:
    """Tell whether ``${parameters.NAME.toString()}`` is filled: only if it stands in a parameter, too."""
    asked = f"${{parameters.{name}{TO_STRING}}}"
    return any(asked in value for value in parameters.values())


def is_json(text: str) -> bool:
    """Tell whether a text is an object or an array."""
    try:
        return isinstance(json.loads(text, parse_constant=_refuse), (dict, list))
    except (ValueError, RecursionError):
        return False


def is_json_or_ndjson(text: str) -> bool:
    """Tell whether a text is JSON, or has JSON in each of its lines."""
    lines = [line for line in text.splitlines() if line.strip()]
    return is_json(text) or (bool(lines) and all(map(is_json, lines)))


def _substituted(text: str, parameters: Mapping[str, str], done: dict[str, str], above: tuple[str, ...]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if match["kind"] != "parameters":
            return match[0]
        if name in parameters:
            if name in above:
                raise Endless(name)
            if name not in done:
                done[name] = _substituted(parameters[name], parameters, done, (*above, name))
                if len(done[name]) > MAX_LENGTH:
                    raise Endless(name)
            return done[name]
        base = name.removesuffix(TO_STRING)
        if base != name and base in parameters and fills_as_text(base, parameters):
            return json.dumps(parameters[base])[1:-1]
        return match["default"][2:] if match["default"] else match[0]

    return placeholders.PLACEHOLDER.sub(value, text)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
