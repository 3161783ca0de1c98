"""One check, without pytest: what was obtained, under which conditions, and how it compares with its golden.

The plugin and ``seedpin.check`` build a `context` and call a `gate`; `judge` is the sequence of steps.
"""
