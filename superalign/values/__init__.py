"""Values that change: how well each version of a constitution is kept, and which past examples stay valid."""
