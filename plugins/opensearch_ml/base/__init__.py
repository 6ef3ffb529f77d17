"""Values without a dependency: ARNs, secret patterns, masking, the outcome of a step, the owner's name."""
