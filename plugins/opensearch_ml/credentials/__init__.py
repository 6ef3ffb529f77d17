"""Credentials: references, secrets managers, credential sources and fingerprints."""
