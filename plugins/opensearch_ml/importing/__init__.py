"""Blueprints made from documentation and from a cluster."""
