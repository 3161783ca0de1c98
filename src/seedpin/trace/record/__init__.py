"""Watch a run without changing a bit of it, and make a trace of what was seen. Begin at ``recorder``."""
