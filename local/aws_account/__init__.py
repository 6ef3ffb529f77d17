"""A stand-in for an AWS account: moto in a process of its own, with what moto lacks in front of it.

- IAM policies are evaluated as AWS does it (:mod:`~local.aws_account.policy_evaluation`), for the API calls themselves
  once checks are on, for ``SimulatePrincipalPolicy``, and for whoever asks under ``/_account/authorize``.
- Services assume roles (``/_account/assume``); roles take effect late and sessions end early when a test says so.
- Other stand-ins look keys, domains and endpoints up here, and tests read what was written.

``routes.py`` has the HTTP API, ``process.py`` the handle that starts and steers it from Python.
"""
