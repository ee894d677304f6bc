"""Servers that answer: our own and their environment, those of others, and which of them gets the next request."""
