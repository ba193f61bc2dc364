"""Corpus statistics, masking and training for pretraining by masked language modelling."""
