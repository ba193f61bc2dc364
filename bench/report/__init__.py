"""Report stored runs: tables, comparisons, figures, the page, exports. No torch."""
