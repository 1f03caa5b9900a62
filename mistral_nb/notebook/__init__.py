"""What Jupyter shows: the magic, the accessor, the progress of a run, safe rendering."""
