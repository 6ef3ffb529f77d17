"""The states of ML Commons tasks and models, as sets to ask.

A state that is in no set is not assumed to be an end or a beginning: callers make it an error.
Source: ml-commons 3.6 ``MLTaskState`` and ``MLModelState``; the names with LOAD are those of 2.x.
"""

from __future__ import annotations

TASK_INTERMEDIATE = frozenset({"CREATED", "RUNNING", "CANCELLING", "UNREACHABLE"})
TASK_SUCCESS = frozenset({"COMPLETED"})
TASK_FAILURE = frozenset({"FAILED", "COMPLETED_WITH_ERROR", "CANCELLED", "EXPIRED"})

MODEL_DEPLOYED = frozenset({"DEPLOYED", "LOADED"})
MODEL_DEPLOYING = frozenset({"DEPLOYING", "LOADING"})
MODEL_PARTIALLY_DEPLOYED = frozenset({"PARTIALLY_DEPLOYED", "PARTIALLY_LOADED"})
MODEL_NOT_DEPLOYED = frozenset(
    {"REGISTERING", "UPLOADING", "REGISTERED", "UPLOADED", "UNDEPLOYED", "UNLOADED", "TRAINED"}
)
MODEL_DEPLOY_FAILED = frozenset({"DEPLOY_FAILED", "LOAD_FAILED"})
