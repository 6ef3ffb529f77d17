"""The demo: a blueprint goes live through Airflow, and a semantic search over its embeddings finds what is meant.

Every statement that it prints was checked; it ends with an error if one does not hold.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from opensearchpy import OpenSearch

from local.airflow_standalone import AirflowStandalone, DagRun
from local.domain_stack import ROLE_ARN, DomainStack
from local.errors import DemoError
from local.minilm import DIMENSIONS
from local.stack import Stack

BLUEPRINT = "openai_embedding"
DOMAIN_BLUEPRINT = "sagemaker_embedding"
INDEX = "opensearch-ml-demo"
PIPELINE = "opensearch-ml-demo"
SENTENCES = (
    "The kitten dozed on a sunny windowsill.",
    "Central banks raised interest rates to slow inflation.",
    "Knead the dough, let it rise, then bake until golden.",
    "The rocket reached orbit nine minutes after launch.",
    "Wash your hands often to keep infections from spreading.",
    "Our team scored twice in the last ten minutes of the match.",
)
QUESTIONS = {  # none shares a word with the sentence that it means
    "cat asleep in warm light": SENTENCES[0],
    "economy and monetary policy": SENTENCES[1],
    "how do I make bread?": SENTENCES[2],
}


def run_demo(stack: Stack) -> None:
    """Start the stack, provision through the scheduler, and show a search whose ranking makes sense.

    :raises LocalStackError: something did not work; the message says what, and what to do.
    """
    started = time.monotonic()
    run = go_live(stack, BLUEPRINT, {})
    say_done(stack, run, time.monotonic() - started)


def go_live(stack: Stack, blueprint: str, conf: dict[str, Any]) -> DagRun:
    """Bring the stack up, provision an embedding model, and search with it; return the run.

    :param conf: more parameters of the run.
    """
    stack.up()
    run = provision(stack, blueprint, conf)
    model_id = str(run.xcom("smoke_predict"))

    client = client_of(stack)
    stack.say(f"==> neural search over {len(SENTENCES)} sentences, embedded by the new model at ingest and at query")
    index_sentences(client, model_id)
    show_search(client, model_id, stack.say)
    return run


def client_of(stack: Stack) -> OpenSearch:
    """Return a client of the stack's cluster that repeats no request by itself."""
    return OpenSearch(
        stack.opensearch.url,
        http_auth=(stack.opensearch.admin_user, stack.opensearch.admin_password),
        ca_certs=str(stack.opensearch.ca_path),
        max_retries=0,
    )


def say_done(stack: Stack, run: DagRun, seconds: float) -> None:
    """Say what there is now, and with which login."""
    airflow = running_airflow(stack)
    model_id, group_id, connector_id = (run.xcom(task) for task in ("smoke_predict", "model_group", "connector"))
    stack.say(
        f"""==> done in {seconds:.0f} s. It stays up until `make down`.
    model      {model_id}  (group {group_id}, connector {connector_id})
    Airflow    {airflow.url}  login admin, password {airflow.password}
    OpenSearch {stack.opensearch.url}  login {stack.opensearch.admin_user}, password {stack.opensearch.admin_password}
    CA         {stack.opensearch.ca_path}
    Next: run DAG opensearch_ml_provision again in the UI (nothing is written), make demo-rotate, make demo-fleet, or
    run opensearch_ml_teardown."""
    )


def run_domain_demo(stack: DomainStack) -> None:
    """The same on Amazon OpenSearch Service: from an account without the role to an answer that the role signed.

    :raises LocalStackError: something did not work; the message says what, and what to do.
    """
    started = time.monotonic()
    conf = {"opensearch_admin_conn_id": "opensearch_master"}
    run = go_live(stack, DOMAIN_BLUEPRINT, conf)
    endpoints = stack.model_endpoints
    signers = {str(request.principal) for request in endpoints.requests(family="sagemaker")} if endpoints else set()
    role = f"{ROLE_ARN.replace(':iam:', ':sts:').replace(':role', ':assumed-role')}/opensearch-sagemaker-role/"
    if not signers or not all(signer.startswith(role) for signer in signers):
        raise DemoError(
            "SageMaker was called by somebody else than the role", evidence=f"{signers}", fix="make down, then again"
        )
    stack.say(f"==> SageMaker was called by {', '.join(sorted(signers))}")
    stack.account.forget_writes()
    stack.say("==> the same DAG once more")
    provision(stack, DOMAIN_BLUEPRINT, conf)
    if writes := stack.account.writes():
        raise DemoError("the second run wrote to IAM", evidence=f"{writes}", fix="run again with the tasks' logs open")
    stack.say("    nothing was written to IAM: it agrees with the blueprint already")
    say_done(stack, run, time.monotonic() - started)


def running_airflow(stack: Stack) -> AirflowStandalone:
    """Return the stack's Airflow.

    :raises DemoError: it has ended.
    """
    if stack.airflow is None:
        raise DemoError("Airflow has ended", evidence="its process is gone", fix="make status, then make demo again")
    return stack.airflow


def provision(stack: Stack, blueprint: str, conf: dict[str, Any]) -> DagRun:
    """Run the provisioning DAG through the scheduler and wait for its end.

    :raises DemoError: a task failed; evidence is the end of its log.
    """
    stack.say(f"==> DAG opensearch_ml_provision, blueprint {blueprint}, through the scheduler")
    run = running_airflow(stack).run(
        "opensearch_ml_provision",
        {"blueprint": blueprint, **conf},
        told=lambda task, state, seconds: stack.say(f"    {task:<18} {state:<8} {seconds:5.1f} s"),
    )
    if run.state != "success":
        failed = next(task["task_id"] for task in run.tasks() if task["state"] == "failed")
        raise DemoError(
            f"task {failed} failed", evidence=run.log(failed)[-3000:], fix="mend what the log names and run again"
        )
    return run


def index_sentences(client: OpenSearch, model_id: str) -> None:
    """Make an ingest pipeline and a k-NN index anew, and index the sentences through them."""
    client.ingest.put_pipeline(
        id=PIPELINE,
        body={
            "description": "Embeds text with the remote model",
            "processors": [{"text_embedding": {"model_id": model_id, "field_map": {"text": "embedding"}}}],
        },
    )
    client.indices.delete(index=INDEX, ignore_unavailable=True)
    vector = {
        "type": "knn_vector",
        "dimension": DIMENSIONS,
        "method": {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"},
    }
    client.indices.create(
        index=INDEX,
        body={
            "settings": {"index.knn": True, "default_pipeline": PIPELINE, "number_of_replicas": 0},
            "mappings": {"properties": {"text": {"type": "text"}, "embedding": vector}},
        },
    )
    lines: list[dict[str, Any]] = []
    for number, sentence in enumerate(SENTENCES):
        lines += [{"index": {"_index": INDEX, "_id": str(number)}}, {"text": sentence}]
    answer = client.bulk(body=lines, refresh=True)
    if answer["errors"]:
        raise DemoError(
            "the sentences were not indexed", evidence=str(answer["items"])[:1500], fix="make down, then make demo"
        )


def show_search(client: OpenSearch, model_id: str, say: Callable[[str], None]) -> None:
    """Ask each question, show the ranking, and check that the best hit is the sentence that is meant."""
    for question, meant in QUESTIONS.items():
        hits = client.search(
            index=INDEX,
            body={
                "size": 3,
                "_source": ["text"],
                "query": {"neural": {"embedding": {"query_text": question, "model_id": model_id, "k": len(SENTENCES)}}},
            },
        )["hits"]["hits"]
        say(f'    "{question}"')
        for hit in hits:
            say(f"        {hit['_score']:.3f}  {hit['_source']['text']}")
        best = hits[0]["_source"]["text"] if hits else None
        if best != meant:
            raise DemoError(
                f'the best hit for "{question}" is not the sentence that is meant',
                evidence=f"best is {best!r}, meant is {meant!r}",
                fix="look at the model endpoint's log: are the embeddings MiniLM's?",
            )
        if shared := words(question) & words(meant):
            raise DemoError(
                "the question gives the answer away", evidence=f"shared words {sorted(shared)}", fix="ask differently"
            )


def words(text: str) -> set[str]:
    """Return the words of a text, in lower case."""
    return set(re.findall(r"[a-z]+", text.lower()))
