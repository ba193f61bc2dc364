"""Adversarial attacks on stored models: goal, constraints, moves, search, and recipes of them."""

PAPER_RECIPE = "textfooler-paper"
"""The recipe that attacks are made by unless another is named: Jin et al., 2020 (TextFooler)."""
