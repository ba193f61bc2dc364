"""Statistics of paired scores: NumPy and SciPy on plain arrays, nothing of records or tasks."""
