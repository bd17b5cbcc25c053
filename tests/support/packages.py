"""The order of the packages, which tests of the code and of the documentation share."""

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "metrics": {"core"},
    "data": {"core"},
    "training": {"core", "data"},
    "models": {"core", "data", "training"},
    "config": {"core", "metrics", "data", "models"},
    "adapt": {"core", "data", "metrics", "training", "models"},
    "search": {"core", "data", "metrics", "training", "models", "adapt"},
    "audit": {"core", "data", "metrics"},
    "report": {"core", "config", "data", "metrics", "audit"},
    "score": {"core", "data", "metrics", "adapt", "audit", "report"},
    "plan": {"core", "metrics", "audit"},
    "cli": {"core", "config", "data", "models", "report", "score", "plan"},
}
"""Packages from the bottom up, each with the packages that it may import."""
