"""One run: prompts to the engine, answers to their shards, and what it says of itself meanwhile."""
