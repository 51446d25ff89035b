"""Augmentation: training pictures changed at random, in bulk, on the device.

`settings.py` says what is wanted, `geometry.py` moves pixels (and boxes, masks and points with them), `colour.py` changes
their values, `mixing.py` mixes pictures of a batch, `apply.py` does all of it to a batch.
"""
