"""Detectors: one system a file."""
