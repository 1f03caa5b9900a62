"""What Jupyter shows: the magic, the accessor, safe rendering."""
