"""What is looked at in a browser: the live page of a station, the pages of a journal, and reports."""
