"""Voice bots under test: a scenario is played to a bot and measured, a dump is played again."""

from softswitch.evals.measures import Report
from softswitch.evals.scenario import Scenario, load_scenario

__all__ = ["Report", "Scenario", "load_scenario"]
