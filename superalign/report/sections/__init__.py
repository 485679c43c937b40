"""The sections of the page, a function each."""
