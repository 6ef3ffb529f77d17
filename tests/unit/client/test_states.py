from __future__ import annotations

from itertools import combinations

import pytest

from opensearch_ml.client import states

TASK_SETS = (states.TASK_INTERMEDIATE, states.TASK_SUCCESS, states.TASK_FAILURE)
MODEL_SETS = (
    states.MODEL_DEPLOYED,
    states.MODEL_DEPLOYING,
    states.MODEL_PARTIALLY_DEPLOYED,
    states.MODEL_NOT_DEPLOYED,
    states.MODEL_DEPLOY_FAILED,
)
# ml-commons 3.6: MLTaskState and MLModelState, and the names of 2.x
TASK_STATES = "CREATED RUNNING COMPLETED FAILED CANCELLED COMPLETED_WITH_ERROR CANCELLING EXPIRED UNREACHABLE"
MODEL_STATES = (
    "REGISTERING REGISTERED DEPLOYING DEPLOYED PARTIALLY_DEPLOYED UNDEPLOYED DEPLOY_FAILED TRAINED "
    "UPLOADING UPLOADED LOADING LOADED PARTIALLY_LOADED UNLOADED LOAD_FAILED"
)


@pytest.mark.parametrize(("sets", "known"), [(TASK_SETS, TASK_STATES), (MODEL_SETS, MODEL_STATES)])
def test_every_state_of_the_server_is_in_exactly_one_set(sets: tuple[frozenset[str], ...], known: str) -> None:
    assert set().union(*sets) == set(known.split())
    assert all(not one & other for one, other in combinations(sets, 2))


def test_a_deployment_that_is_not_on_every_node_is_not_done() -> None:
    assert "PARTIALLY_DEPLOYED" not in states.MODEL_DEPLOYED
    assert "COMPLETED_WITH_ERROR" in states.TASK_FAILURE
