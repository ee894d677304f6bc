"""Tests of finding, redacting and measuring personal data."""
