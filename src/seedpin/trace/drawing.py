"""What of torch draws random numbers when it is called, and through whom libraries call it."""

from __future__ import annotations

FUNCTIONS = (
    *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "randperm", "normal"),
    *("bernoulli", "multinomial", "poisson"),
)
"""Of the module ``torch``. ``torch.seed`` and dropout are apart: they draw in some calls only."""
METHODS = (
    *("normal_", "uniform_", "random_", "bernoulli_", "exponential_", "geometric_", "cauchy_", "log_normal_"),
    *("bernoulli", "multinomial"),
)
"""Of ``torch.Tensor``."""
HELPERS = ("randn_tensor",)
"""Functions through which a library makes all its draws (diffusers): who called them is meant."""
