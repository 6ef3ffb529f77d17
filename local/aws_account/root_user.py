"""The account's root user, who sets things up also while the API calls are checked. Everyone may know its key."""

from __future__ import annotations

ACCOUNT_ID = "123456789012"  # moto's own, for every key that it does not know
ROOT_ARN = f"arn:aws:iam::{ACCOUNT_ID}:root"
ROOT_ACCESS_KEY_ID = "AKIALOCALACCOUNTROOT"
ROOT_SECRET_ACCESS_KEY = "the-root-user-of-the-local-account"  # noqa: S105
