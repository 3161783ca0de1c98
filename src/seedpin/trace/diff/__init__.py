"""Where two traces part, and how far apart they are from there. Begin at ``locate``."""
