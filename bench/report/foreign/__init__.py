"""Results of other people: read, checked and kept beside our own, never among them."""
