"""``make peer``: install the peer, and say where."""

from __future__ import annotations

import sys

from benchmarks.peer.environment import CannotInstall, install

try:
    print(f"opensearch-py-ml's command line: {install()}")
except CannotInstall as error:
    print(error, file=sys.stderr)
    sys.exit(1)
