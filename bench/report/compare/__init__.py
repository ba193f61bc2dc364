"""Methods against each other, from stored records: paired by split seed and test item (decision
014).
"""
