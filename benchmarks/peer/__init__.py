"""The peer: opensearch-py-ml's command line, installed in an environment of its own and driven without a person.

`environment` installs it, `command` runs it, and ``python -m benchmarks.peer`` (``make peer``) only installs.
"""

from __future__ import annotations
