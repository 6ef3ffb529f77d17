"""What documentation shows, read for `opensearch_ml.importer`: pages, relaxed JSON, and connector bodies in them."""
