"""How well a model writes agents: descriptions, what a right agent does, and what a provider makes of them."""
