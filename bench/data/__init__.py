"""Tasks and their rows: declared, read, checked and split. No torch."""
