"""Connect OpenSearch to remote AI models from Airflow, declaratively, and keep that connection alive."""
