"""The OpenSearch client of one Airflow connection.

`connection` and `transport` make it, `error_mapping` maps its errors to ours. `documents` has the types of what the
server returns, `states` the states of models and tasks.
"""
