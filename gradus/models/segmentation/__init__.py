"""Networks that give the class of every pixel."""
