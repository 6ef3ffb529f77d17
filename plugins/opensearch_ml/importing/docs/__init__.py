"""What documentation shows: pages, relaxed JSON, and connector bodies in them."""
