"""One question a file, each asked by functions (case) -> findings; `gradus/doctor/table.py` lists them."""
