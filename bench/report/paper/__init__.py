"""Tables and figures of a study as LaTeX: floats that go into a two-column paper unchanged."""
