"""Looking into a network: each file shows one thing (`table.py` lists them), as arrays, a PNG and a page."""
