"""The leaderboard page: one HTML file that needs nothing else, neither a server nor the network.

`gather` makes the data of a store, whose shape `data` declares, `published` reads the papers'
numbers, `markup` puts text into markup safely, and `write` assembles template, style, scripts and
data. No torch, and no template language.
"""
