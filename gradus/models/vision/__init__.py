"""Networks for pictures, one a file."""
