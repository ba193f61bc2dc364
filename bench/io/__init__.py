"""Write files atomically and read them safely: checked JSON, JSON lines, TOML."""
