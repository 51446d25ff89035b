"""Tasks: what the columns mean for learning. The names are in `tasks/table.py`."""
