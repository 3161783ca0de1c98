"""The project's own tests, gated by seedpin itself."""
