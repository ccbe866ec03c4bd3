"""Build hook: the wheel carries the compiled code for media sockets where the machine has a C compiler."""

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

from build_batch import LIBRARY, build


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles before the files of a wheel are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the platform if that went well; a wheel without the code is for any machine."""
        del version
        if self.target_name != "wheel":
            return
        why = build()
        if why:
            self.app.display_warning(f"media sockets will be served by Python alone: {why}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        # No part of Python's own binary interface is used, so that one wheel serves all versions of Python.
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(str(LIBRARY.relative_to(self.root)))
