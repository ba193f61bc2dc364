"""Carries out a plan: one run, the trial search, workers."""
