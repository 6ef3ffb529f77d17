"""A search index whose documents are embedded by a model, made as soon as that appears, and looked at when it changes.

Copy it into your dags folder and change the names below. `opensearch_ml_provision` and `opensearch_ml_reconcile` make
an event of the model's asset when the model has appeared or changed, which starts this DAG. Once it has run, every
document that is written into the index gets its vector, and a neural query finds it by meaning. A second run writes
nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from opensearch_ml.assets import asset_of
from opensearch_ml.catalog.folders import catalog
from opensearch_ml.hook import OpenSearchMLHook

TARGET = "production"  # include/targets/production.yaml
BLUEPRINT = "openai_embedding"  # include/blueprints/openai_embedding.yaml
WRITER = "opensearch_default"  # may write pipelines and indices
PIPELINE = "embed-articles"
INDEX = "articles"
TEXT, VECTOR = "text", "embedding"  # fields of a document

MODEL = asset_of(TARGET, BLUEPRINT)

with DAG(
    dag_id="search_index",
    description="An index that is searched by meaning",
    doc_md=__doc__,
    schedule=[MODEL],
    max_active_runs=1,
    tags=["opensearch-ml"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
):

    @task(inlets=[MODEL])
    def ingest_pipeline(inlet_events: Any = None) -> str:
        """Embed the field text of every document by the model that the last event names."""
        model_id = inlet_events[MODEL][-1].extra["model_id"]
        wanted = {"processors": [{"text_embedding": {"model_id": model_id, "field_map": {TEXT: VECTOR}}}]}
        client = OpenSearchMLHook(WRITER).client
        if client.ingest.get_pipeline(id=PIPELINE, ignore=404).get(PIPELINE) != wanted:
            client.ingest.put_pipeline(id=PIPELINE, body=wanted)
        return PIPELINE

    @task
    def index(pipeline: str) -> str:
        """Make the index, whose vectors are as long as the blueprint's smoke test expects them."""
        used_by = OpenSearchMLHook(catalog().fleet(TARGET)[0].opensearch_conn_id)
        blueprint = catalog().blueprint(
            BLUEPRINT, opensearch_conn_id=used_by.opensearch_conn_id, domain_arn=used_by.domain_arn
        )
        dimension = next(one.dimension for one in blueprint.smoke_test.expect if one.dimension)
        client = OpenSearchMLHook(WRITER).client
        if client.indices.exists(index=INDEX):
            found = client.indices.get_mapping(index=INDEX)[INDEX]["mappings"]["properties"][VECTOR]["dimension"]
            if found != dimension:
                raise ValueError(f"{INDEX} holds vectors of {found}, and the model gives {dimension}: index anew")
            return INDEX
        vector = {"type": "knn_vector", "dimension": dimension, "method": {"name": "hnsw", "engine": "lucene"}}
        settings = {"index.knn": True, "default_pipeline": pipeline}
        mappings = {"properties": {TEXT: {"type": "text"}, VECTOR: vector}}
        client.indices.create(index=INDEX, body={"settings": settings, "mappings": mappings})
        return INDEX

    index(ingest_pipeline())
