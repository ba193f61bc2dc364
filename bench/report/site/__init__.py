"""The board as a folder of pages that any static host serves, or a browser opens from disk.

`build` makes all files, `folder` writes them: the board (`fewbench.report.page`), its data, and a
page for each method and paper. Links are relative, and no page but the board has a script.
"""
