"""Stage 1: read and select documents."""
