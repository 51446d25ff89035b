"""The mathematics in NumPy: forward and hand-derived backward, to be read beside a textbook. It imports nothing of ours.

Tests hold the fast versions to these.
"""
