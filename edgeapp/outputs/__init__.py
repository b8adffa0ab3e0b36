"""One writer per output format, behind one small protocol, and the words that decisions are told in."""
