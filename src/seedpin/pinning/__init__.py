"""Pinning: seed every random source, set every determinism switch, and restore them.

Importing this package imports no torch. ``seedpin.pin`` is the function; ``pin`` here is its module.
"""
