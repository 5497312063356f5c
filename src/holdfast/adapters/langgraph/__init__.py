"""LangGraph on Holdfast: `HoldfastSaver` keeps a graph's checkpoints. `pip install "holdfast[langgraph]"`."""

from holdfast.errors import MissingExtra

try:
    import langgraph.checkpoint.base as _installed
except ImportError as problem:
    raise MissingExtra(
        'LangGraph\'s checkpoints are not installed: pip install "holdfast[langgraph]"', extra="langgraph"
    ) from problem

from holdfast.adapters.langgraph.saver import HoldfastSaver

__all__ = ["HoldfastSaver"]

del _installed
