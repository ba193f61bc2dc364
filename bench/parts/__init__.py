"""Pieces that methods are assembled from. Torch lives here."""
