"""medaudit: end-to-end fairness audit of medical-imaging foundation models."""

__version__ = "0.1.0"
