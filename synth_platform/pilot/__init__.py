"""Train small language models from scratch: `synth-tiny`, and pilot models on mixtures."""
