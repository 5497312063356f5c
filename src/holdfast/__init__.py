"""Holdfast: the session and state layer for AI agents and workflows."""
