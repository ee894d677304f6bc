"""Generation on many machines: Ray hands shards to workers, each with a server of its own and a loan of the budget."""
