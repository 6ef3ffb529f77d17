"""Recording what this version writes into Airflow, a cluster and an AWS account: tests/data has the result."""
