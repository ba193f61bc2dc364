"""Tables: from records to cells, and from cells to grids of text. No torch."""
