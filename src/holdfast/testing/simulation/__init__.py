"""The whole domain on the weakest store there is, in virtual time, with chance against it: one seed, one run.

python -m holdfast.testing.simulation 4711          # live this seed again
python -m holdfast.testing.simulation 1 1000        # live a thousand seeds
"""

from holdfast.testing.simulation.loop import Stuck, VirtualLoop, run
from holdfast.testing.simulation.weather import CALM, STORM, Crashed, SimulatedStore, StormyKernel, Weather
from holdfast.testing.simulation.world import Opener, Scenario, SimulationFailed, World, open_whole, simulate

__all__ = [
    "CALM",
    "STORM",
    "Crashed",
    "Opener",
    "Scenario",
    "SimulatedStore",
    "SimulationFailed",
    "StormyKernel",
    "Stuck",
    "VirtualLoop",
    "Weather",
    "World",
    "open_whole",
    "run",
    "simulate",
]
