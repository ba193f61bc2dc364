"""What people read: tables, comparisons, figures, the page, exports. No torch."""
