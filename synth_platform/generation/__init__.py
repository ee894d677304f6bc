"""Stage 3: the engine's environment and lifecycle, the client, and results committed shard by shard."""
