"""The engine's fastest settings for a dataset: candidates, trials on real prompts, and the profile kept of them."""
