"""The leaderboard page: one HTML file that needs nothing else, neither a server nor the network.

`gather` makes plain data of the store, `published` reads the papers' numbers, `markup` puts text
into markup safely, and `write` assembles template, style, scripts and data. No torch, and no
template language.
"""
