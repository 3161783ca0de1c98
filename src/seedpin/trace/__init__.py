"""What happened inside a model, and where two runs of it first part.

``recorder`` takes a trace, ``storage`` keeps it, ``divergence`` compares two.
"""
