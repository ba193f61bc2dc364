"""Figures: one file each, records in, figure out."""
