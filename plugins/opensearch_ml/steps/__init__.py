"""The steps: each looks, compares, writes only what differs, and says what it changed.

A step may be called again at any time, also after a crash or a lost answer, and by several runs at once.
"""

from __future__ import annotations
