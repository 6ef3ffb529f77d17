"""The cases in tests/data/bad_blueprints: good documents, and the change that makes each of them bad."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from tests.support.examples import CANARY

FOLDER = Path(__file__).resolve().parents[1] / "data" / "bad_blueprints"
GOOD = yaml.safe_load((FOLDER / "good.yaml").read_text())
LEVELS = ["x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
LEVELS += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 20)]
STAND_INS = {
    "@OPENAI@": CANARY,
    "@AWS@": "AKIA" + "C4N4RYC4N4RYC4N4",
    "@GITHUB@": "ghp_" + "C4n4ryC4n4ryC4n4ryC4n4",
    "@GOOGLE@": "AIza" + "C4n4ry" * 5 + "C4n4r",
    "@HUGGING FACE@": "hf_" + "C4n4ryC4n4ryC4n4ryC4n4",
    "@SLACK@": "xoxb-" + "123456789012-C4n4ryC4n4ry",
    "@JWT@": "eyJC4n4ryC4n4." + "eyJC4n4ryC4n4." + "C4n4ry",
    "@PRIVATE KEY@": "-----BEGIN RSA " + "PRIVATE KEY-----C4n4ry",
    "@300@": "x" * 300,
    "@7 KB@": "x" * 7_000,
    "@8 KB@": "x" * 8_192,
    "@9 KB@": "x" * 9_000,
    "@32 KB@": "x" * 33_000,
    "@1 MB@": "x" * 1_000_000,
    "@LAUGHS@": "${parameters.b}" * 120,
    "@DEEP YAML@": "- " * 5_000,
    "@DEEP JSON@": "[" * 100_000,
    "@BOMB@": "\n".join(LEVELS),
}
SECRETS = [value for value in STAND_INS.values() if "c4n4ry" in value.lower()]


def stood_in(tree: Any) -> Any:
    """The tree with the words between @ replaced, in its keys too."""
    if isinstance(tree, str):
        for word, value in STAND_INS.items():
            tree = tree.replace(word, value)
        return tree
    if isinstance(tree, dict):
        return {stood_in(key): stood_in(value) for key, value in tree.items()}
    return [stood_in(value) for value in tree] if isinstance(tree, list) else tree


CASES = {
    f"{file.stem}: {name}": case
    for file in sorted(FOLDER.glob("*.yaml"))
    if file.name != "good.yaml"
    for name, case in yaml.safe_load(file.read_text()).items()
}


def changed(case: dict[str, Any]) -> dict[str, Any]:
    """The good document with the case's changes."""
    document: dict[str, Any] = copy.deepcopy(GOOD[case.get("in", "http")])
    for path in case.get("drop", ()):
        *above, last = path.split(".")
        del reached(document, above)[last]
    for path, value in stood_in(case.get("set", {})).items():
        *above, last = path.split(".")
        parent = reached(document, above)
        if isinstance(parent, list):
            parent[int(last) : int(last) + 1] = [value]
        else:
            parent[last] = value
    return document


def reached(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document.setdefault(part, DEFAULTS.get(part))
    return document


DEFAULTS: dict[str, Any] = {"client_config": {}, "actions": [], "model": {}}
