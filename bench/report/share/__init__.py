"""Results handed on: taken in from elsewhere after every check, merged, exported as CSV and as
model-card metadata.
"""
