"""Agents from descriptions: a model writes, the jail checks and rehearses, errors go back to the model."""
