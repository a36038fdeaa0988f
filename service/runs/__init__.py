"""Run an agent, and keep what happened."""
