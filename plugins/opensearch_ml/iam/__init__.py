"""The IAM role of a connector.

`permissions` derives from a connector what its role must be allowed, `role` is the role of one blueprint on one
domain, `policies` makes, compares and merges its documents. `ensure_role` and `role_check` bring IAM to that, by
`role_client` and `queries`. `cli_commands`, `grants` and `missing_permissions` are what people copy.
"""
