"""Stage 6: put accepted generations and original text together by weight."""
