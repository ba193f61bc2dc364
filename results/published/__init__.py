"""Numbers that the papers print, one CSV file per table."""
