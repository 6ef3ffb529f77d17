"""The smoke predict: one question to the deployed model, and its answer held against the blueprint."""

from __future__ import annotations

import time

from opensearch_ml.blueprint import expectation
from opensearch_ml.blueprint.models import Blueprint
from opensearch_ml.errors import SmokeTestFailed
from opensearch_ml.hook import OpenSearchMLHook


def smoke_predict(hook: OpenSearchMLHook, blueprint: Blueprint, model_id: str) -> str:
    """Send the smoke test's predict and check what comes back.

    :return: what was seen, without the answer's content: ``inference_results.0.output.0.data is array of 384``.
    :raises SmokeTestFailed: the answer does not hold what the blueprint expects.
    :raises RemoteModelRefused: the model's platform refuses, with its own words as evidence.
    Source: ``POST /_plugins/_ml/models/{id}/_predict``.
    """
    test = blueprint.smoke_test
    if test is None:
        return f"blueprint {blueprint.name} has no smoke_test, so nothing was asked"
    started = time.monotonic()
    got = hook.predict(model_id, test.parameters)
    seconds = time.monotonic() - started
    if problems := expectation.problems(got, test.expect):
        raise SmokeTestFailed(
            f"model {model_id} answers, but not what {blueprint.name} expects",
            evidence="; ".join(problems),
            fix=f"correct smoke_test.expect in blueprint {blueprint.name}, or the connector's model and "
            "post_process_function",
        )
    seen = ", ".join(f"{e.path} is {expectation.describe(expectation.at(got, e.path))}" for e in test.expect)
    return f"model {model_id} answered in {seconds:.2f} s: {seen}"
