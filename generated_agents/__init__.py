"""Agents as files are data: they are read, checked and run in a sandbox, and never imported."""

raise ImportError("agents are data: they are never imported")
