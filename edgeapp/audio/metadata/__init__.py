"""What a recording says of itself, in its metadata and its name: above all, when it was begun."""
