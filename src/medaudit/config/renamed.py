"""Names in a configuration that have changed, so that an error can give the new one."""

RENAMED = {
    "origin": "attribute_probes",
}
"""Old name to new name, of a key of an entry or of a value such as a table, a figure or a metric.

A name is looked up here when it is unknown and the new one is known at that place."""
