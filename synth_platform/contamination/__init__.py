"""Stage 5: find test questions in documents and in what was generated, and name them."""
