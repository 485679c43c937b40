"""Files of goals -> seeds."""
