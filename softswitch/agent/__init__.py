"""An agent: it greets callers, understands them, calls tools and gives way when it is spoken over.

It is an application like any other: it controls its call through :mod:`softswitch.client`, and thinks with
any chat API in the form of OpenAI's. The switch runs it as the callee ``agent:<name>``, or it runs as a
program of its own (``softswitch agent``).
"""

from softswitch.agent.config import AgentConfig, load_agent
from softswitch.agent.talk import FIGURES, option_of, talk

__all__ = ["FIGURES", "AgentConfig", "load_agent", "option_of", "talk"]
