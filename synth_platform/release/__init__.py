"""Stage 7: publish a mixture as a dataset that others can load, with its proof beside it."""
