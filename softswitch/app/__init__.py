"""The composition root: builds the switch from the settings and runs it. It alone knows every package."""

from softswitch.app.build import build
from softswitch.app.lifecycle import SWITCH
from softswitch.app.serve import run

__all__ = ["SWITCH", "build", "run"]
