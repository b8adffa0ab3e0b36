"""Sound that is kept: cut, written with its metadata, and thinned out when the disk fills."""
