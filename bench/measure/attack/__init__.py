"""Adversarial attacks on stored models: goal, constraints, moves and search, each its own piece,
and recipes.
"""
