"""File trees: captured with all attributes, restored without following links, compared whole."""

from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.compare import compare_tree
from exclave.source.files.restore import FilesTarget

__all__ = ["FilesConfig", "FilesSource", "FilesTarget", "compare_tree"]
