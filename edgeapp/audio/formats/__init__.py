"""Sound files by their bytes: what they are, where their sound lies, and how it is decoded to its very end.

What a header announces is compared with what was found and never believed: a recorder loses power, an encoder writes to
a pipe, files are joined, sizes of 32 bits wrap.
"""
