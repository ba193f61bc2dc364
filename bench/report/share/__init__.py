"""Results for elsewhere: check and copy what others made, export CSV and model-card metadata."""
