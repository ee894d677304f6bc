"""Stage 2: chunk documents and render prompts within the token budget."""
