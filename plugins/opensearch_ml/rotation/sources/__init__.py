"""The sources of the next credential."""
