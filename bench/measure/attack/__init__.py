"""Adversarial attacks on stored models: goal, constraints, moves, search, and recipes of them."""
