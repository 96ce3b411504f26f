"""A paper's table beside ours: specification, collection, rendering."""
