"""The rotation's demo: a model gets another key while it is asked all the time, and nobody who asks notices.

Every statement that it prints was checked; it ends with an error if one does not hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opensearchpy import OpenSearch, OpenSearchException

from local.airflow_standalone import AirflowStandalone
from local.demo import BLUEPRINT, client_of, provision, running_airflow
from local.errors import DemoError
from local.model_endpoints.keys import bearer_fingerprint
from local.model_endpoints.process import ModelEndpoints
from local.stack import PLATFORM_CONNECTION, Stack

DAG_ID = "opensearch_ml_rotate_credentials"
PER_SECOND = 10.0
PREDICTS = 5  # that show which key serves
READ_THE_LOG = "read the log of task rotate in Airflow, then run again"


@dataclass
class Asked:
    """How predicts ended."""

    answered: int = 0
    failed: int = 0
    words: str = ""


def run_rotation_demo(stack: Stack) -> None:
    """Change the key in Airflow's connection, run the rotation under a load of predicts, and show what served when.

    :raises LocalStackError: something did not work; the message says what, and what to do.
    """
    stack.up()
    client, airflow = client_of(stack), running_airflow(stack)
    endpoints = stack.model_endpoints
    if endpoints is None:
        raise DemoError("the model endpoints have ended", evidence="no process", fix="make status, then make demo")
    model_id = model_of(client) or str(provision(stack, BLUEPRINT, {}).xcom("smoke_predict"))
    before = serving(client, endpoints, model_id)
    new = stack.make_openai_key()
    stack.say(f"==> the model endpoints take a second key, and connection {PLATFORM_CONNECTION} has it from now on")
    airflow.write_connection(PLATFORM_CONNECTION, password=new)
    since = time.time()
    stack.say(f"==> DAG {DAG_ID}, under {PER_SECOND:.0f} predicts a second")
    with predicts(client, model_id) as asked:
        rotate(stack, airflow)
    if asked.failed:
        raise DemoError(f"{asked.failed} predicts failed", evidence=asked.words, fix=READ_THE_LOG)
    stack.say(f"==> model {model_id} answered {asked.answered} predicts meanwhile, {asked.failed} failed")
    after = serving(client, endpoints, model_id)
    if after != {bearer_fingerprint(new)}:
        raise DemoError("the model serves with another key than the new one", evidence=f"{after}", fix=READ_THE_LOG)
    for what, keys in (("before", before), ("now", after)):
        for key in sorted(keys):
            stack.say(f"    key {key} {what:<6}  {spent(endpoints, key, since)}")
    stack.refuse_older_openai_keys()
    serving(client, endpoints, model_id)
    stack.say("==> the endpoints refuse the old key from now on, and the model answers")


def rotate(stack: Stack, airflow: AirflowStandalone) -> None:
    """Run the rotation's DAG through the scheduler.

    :raises DemoError: the run failed; evidence is the end of its summary's log.
    """
    run = airflow.run(
        DAG_ID,
        {"blueprints": [BLUEPRINT]},
        told=lambda task, state, seconds: stack.say(f"    {task:<18} {state:<8} {seconds:5.1f} s"),
    )
    if run.state != "success":
        raise DemoError("the rotation failed", evidence=run.log("summary")[-3000:], fix=READ_THE_LOG)


def model_of(client: OpenSearch) -> str | None:
    """Return the id of the demo's model, if there is one that is deployed."""
    deployed = [{"term": {"name.keyword": BLUEPRINT}}, {"term": {"model_state": "DEPLOYED"}}]
    found = client.plugins.ml.search_models(body={"query": {"bool": {"filter": deployed}}})["hits"]["hits"]
    return str(found[0]["_id"]) if found else None


def serving(client: OpenSearch, endpoints: ModelEndpoints, model_id: str) -> set[str]:
    """Ask the model, and return the fingerprints of the keys with which the endpoints were called for it."""
    since = time.time()
    for _ in range(PREDICTS):
        predict(client, model_id)
    return set(endpoints.counts_by_fingerprint(since=since))


def predict(client: OpenSearch, model_id: str) -> None:
    """Have one sentence embedded."""
    body = {"parameters": {"input": ["Who notices?"]}}
    client.transport.perform_request("POST", f"/_plugins/_ml/models/{model_id}/_predict", body=body)


def spent(endpoints: ModelEndpoints, key: str, since: float) -> str:
    """Tell how many requests carried a key, and when the first and the last of them came.

    :param key: its fingerprint.
    :param since: seconds since the epoch.
    """
    times = [request.time for request in endpoints.requests(since=since, fingerprint=key, limit=100_000)]
    if not times:
        return "no request"
    first, last = (time.strftime("%H:%M:%S", time.localtime(at)) for at in (min(times), max(times)))
    return f"{len(times)} requests, first {first}, last {last}"


@contextmanager
def predicts(client: OpenSearch, model_id: str) -> Iterator[Asked]:
    """Ask the model all the time while the block runs."""
    asked, ended = Asked(), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            started = time.monotonic()
            try:
                predict(client, model_id)
                asked.answered += 1
            except OpenSearchException as error:
                asked.failed += 1
                asked.words = str(error)[:1500]
            ended.wait(max(0.0, 1 / PER_SECOND - (time.monotonic() - started)))

    thread = threading.Thread(target=ask, name="predicts")
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()
