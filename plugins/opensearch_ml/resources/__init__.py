"""What a cluster holds: documents, inventory, labels, differences, and the masking of what is shown."""
