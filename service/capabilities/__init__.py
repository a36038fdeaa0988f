"""The only door out of the sandbox: what an agent may ask for, who grants it, and what was done."""
