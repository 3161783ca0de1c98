"""From whatever a model gives to frames: one array, its digests, and a lossless file."""
