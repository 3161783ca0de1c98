"""From two clips to a verdict: metrics, declared tolerances, the decision and hints about the cause."""
