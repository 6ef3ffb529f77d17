"""Credentials, resolved in the running task only.

`resolver` resolves references, by `secrets_manager` those to AWS Secrets Manager. `source` is what a credential source
is, `supply` its credential for a first connector, and `fingerprint` says that a secret changed without showing it.
"""
