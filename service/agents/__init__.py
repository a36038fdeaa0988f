"""Define, check, version and list agents."""
