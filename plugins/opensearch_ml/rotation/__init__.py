"""Change under traffic: a new credential, or a new definition, comes to serve without a lost predict.

`source` is what a source of credentials is, and `sources` has them. `situation` tells, as a pure function, what stands
in the cluster for a blueprint and what a run does next; `look` reads it. `swap` does it: `candidate` is what is made
and tested beside production, `switch` points the model to it and back, `prove` sees that every node serves it. `lease`
lets one run at a time, `record` is the evidence, `failures` is what is told instead.
"""

from __future__ import annotations
