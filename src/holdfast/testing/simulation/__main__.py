"""Live one seed, or many: `python -m holdfast.testing.simulation SEED [COUNT]`."""

import sys
from collections import Counter

from holdfast.testing.simulation.world import SimulationFailed, simulate


def main(arguments: list[str]) -> int:
    """Live the seeds; 1 if any of them failed."""
    first, count = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1
    failed = []
    done: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            world = simulate(seed)
        except SimulationFailed as failure:
            failed.append(seed)
            sys.stdout.write(f"{failure}\n")
        else:
            done += world.done
            events += world.events
    sys.stdout.write(f"{count - len(failed)} of {count} seeds passed; failed: {failed}\n")
    sys.stdout.write(f"acknowledged: {dict(done.most_common())}\nchance: {dict(events.most_common())}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
