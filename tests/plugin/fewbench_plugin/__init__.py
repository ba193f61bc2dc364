"""A method and a task that another package adds to fewbench."""
