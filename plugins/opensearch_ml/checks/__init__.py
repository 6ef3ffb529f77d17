"""What is wrong with a blueprint: one module for each part of it."""
