"""Masks: classical segmentation, conditional random fields, measures and tiles."""
