"""synth_platform: versioned, gated, traceable synthetic pretraining data on Dagster."""

__version__ = "0.1.0"
