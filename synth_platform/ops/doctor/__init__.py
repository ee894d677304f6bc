"""What can be wrong with an installation, a file per subject; each finding knows how it is mended."""
