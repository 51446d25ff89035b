"""Why a model is not good enough: measurements, what they say in words, and the next command to type."""
