"""The results folder: records, predictions, measurements and artifacts. Imports no torch."""
