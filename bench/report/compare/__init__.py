"""Comparisons of stored methods, paired by split seed and test item (decision 014)."""
