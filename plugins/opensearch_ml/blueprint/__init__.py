"""The blueprint and the target as documents: their fields, how a file is read and written, and findings in it."""
