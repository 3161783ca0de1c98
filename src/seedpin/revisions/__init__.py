"""Other revisions of the project, run on this machine: comparison with one, attribution, bisection."""
