"""Stage 4: judge each generation, and decide with gates whether a whole set of them is good enough."""
