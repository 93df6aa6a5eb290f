"""Exclave: a data embassy.

A state's registers are captured, sealed at home, spread over vaults in other states, and turned
back into running registers by a quorum of officials. This package holds the software; what is
stored and sent is fixed by `spec/`, not by this code.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
