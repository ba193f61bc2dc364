"""Executors: where the workers of a plan run, on this machine or on a cluster (decision 027).

All keep one contract. Every worker carries out the same plan by claims on one results folder, so
nothing is done twice, and what a lost worker was at is taken up by another. The whole record of a
run in that folder is the only truth: the driver derives what is missing from it, whatever the
cluster says of its workers.
"""
