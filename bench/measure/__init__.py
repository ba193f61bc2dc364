"""Measure stored runs and kept models: loyalty, cost, attacks, facts."""
