"""The OpenSearch client of one Airflow connection: transport, authentication, error mapping, states."""
