"""What others may build on: names and arguments that a release must not take away unannounced."""

from __future__ import annotations

import ast
import importlib
import inspect
from typing import Any

import pytest
import yaml
from airflow.sdk import BaseOperator

from tests.support.airflow_classes import own_arguments
from tests.support.repository import REPOSITORY

PACKAGE = REPOSITORY / "plugins" / "opensearch_ml"
PINNED: dict[str, dict[str, list[str] | None]] = yaml.safe_load(
    (REPOSITORY / "tests" / "data" / "public_surface.yaml").read_text()
)


def surface(module_name: str) -> dict[str, list[str] | None]:
    """Return the public names of a module; of a class and a function also the names of its arguments.

    Errors share one constructor. Of the hook, its methods are public too.
    """
    module = importlib.import_module(f"opensearch_ml.{module_name}")
    found: dict[str, list[str] | None] = {}
    for name in module.__all__:
        value = getattr(module, name)
        found[name] = arguments(value)
        if module_name == "hook":
            methods = {key: of for key, of in vars(value).items() if not key.startswith("_")}
            found |= {f"{name}.{key}": arguments(of) for key, of in methods.items()}
    return found


def arguments(value: Any) -> list[str] | None:
    if inspect.isclass(value) and issubclass(value, BaseOperator):
        return sorted(own_arguments(value))
    if inspect.isclass(value) and issubclass(value, Exception):
        return None
    if inspect.isclass(value) or inspect.isfunction(value):
        return [name for name in inspect.signature(value).parameters if name not in ("self", "args", "kwargs")]
    return None


@pytest.mark.parametrize("module", PINNED)
def test_the_public_surface_is_the_pinned_one(module: str) -> None:
    assert surface(module) == PINNED[module]


def test_every_public_module_is_pinned() -> None:
    with_all = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
        if any(
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for node in ast.parse(path.read_text()).body
        )
    }
    assert with_all == set(PINNED)


def test_the_root_of_the_package_holds_what_is_public_alone() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(PINNED)
    assert (PACKAGE / "py.typed").exists()
