"""Seeing inside: the report of a run, and the drawings of values and measurements that it is made of."""
