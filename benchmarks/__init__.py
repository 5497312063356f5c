"""How fast Holdfast is beside what a careful engineer writes by hand: `python -m benchmarks`. Never pass or fail."""
