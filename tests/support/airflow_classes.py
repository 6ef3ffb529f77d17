"""Every operator, trigger and link of the package, found by walking it: a new one is tested the day it is added."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.triggers.base import BaseTrigger

import opensearch_ml


def _public(kind: type) -> dict[str, Any]:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(opensearch_ml.__path__, f"{opensearch_ml.__name__}.")
        if not found.name.endswith("__main__")
    ]
    return {
        name: one
        for module in modules
        for name, one in sorted(vars(module).items())
        # An alias such as dict[str, str] calls itself a class on Python 3.10.
        if inspect.isclass(one)
        and not hasattr(one, "__origin__")
        and issubclass(one, kind)
        and one.__module__ == module.__name__
        and name[0] != "_"
    }


OPERATORS: dict[str, type[BaseOperator]] = _public(BaseOperator)  # also the bases, and the sensors
TRIGGERS: dict[str, type[BaseTrigger]] = _public(BaseTrigger)
LINKS: dict[str, type[BaseOperatorLink]] = _public(BaseOperatorLink)


def own_arguments(operator: type) -> dict[str, inspect.Parameter]:
    """The arguments that our own classes take, without those that are handed on to Airflow's."""
    ours = [cls for cls in operator.__mro__ if cls.__module__.startswith(f"{opensearch_ml.__name__}.")]
    return {
        name: parameter
        for cls in ours
        if "__init__" in vars(cls)
        for name, parameter in inspect.signature(vars(cls)["__init__"]).parameters.items()
        if name not in ("self", "kwargs")
    }
