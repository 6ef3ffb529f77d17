"""The IAM role of a connector: its documents, how it is ensured and checked, and commands to copy."""
