"""What a cluster holds, as values.

`bodies` and `canonical` are what we write and how it is compared, `diff` the differences that people see, `changes` a
plan's entries, `masking` keeps secrets out of both. `read` reads a cluster into an `inventory`, `rotation_state`
derives what stands for one blueprint, and `adoption` is the label by which an adopted model is managed.
"""
