"""The ways to the world: one adapter a file. None knows what an agent, a capability or a grant is."""
