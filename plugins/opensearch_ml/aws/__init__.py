"""AWS: access by one Airflow connection, error mapping, domains, policy evaluation."""
