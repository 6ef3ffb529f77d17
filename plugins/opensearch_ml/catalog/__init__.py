"""Folders of blueprint and target files: read, checked, and described by a JSON Schema."""
