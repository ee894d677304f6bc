"""What came back: outcomes, the ledger that keeps each at once, and the shards that are committed whole."""
