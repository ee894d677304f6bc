"""Tests, folder by folder like the package."""
