"""Published tables made again: the runs that each number stands for, and ours beside theirs.

`tables` finds a table by name, `cells` maps its numbers to runs or to the reason why there are
none, `jobs` plans those runs, `figures` looks up our numbers, and `show` makes tables of both.
"""
