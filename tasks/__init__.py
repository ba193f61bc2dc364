"""Task declarations: one TOML file a suite, one table a task."""
