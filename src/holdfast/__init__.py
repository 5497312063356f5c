"""Holdfast: the session and state layer for AI agents and workflows.

What must outlive one call, one process or one machine is kept here: sessions, scoped state, messages and
an ordered stream of every change, with the same guarantees on every backend.
"""

__all__: list[str] = []
