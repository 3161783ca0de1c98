"""What happened inside a model, and where two runs of it first part.

``record`` takes a trace; ``model`` says what one is, ``storage`` keeps it; ``diff`` compares two. Neither of
``record`` and ``diff`` imports the other: only what watches a model needs torch.
"""
