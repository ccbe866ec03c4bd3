from tests.cli.program import run

__all__ = ["run"]
