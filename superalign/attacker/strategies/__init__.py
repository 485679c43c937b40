"""Ways to ask: prompt files, chains, conversations, plug-ins."""
