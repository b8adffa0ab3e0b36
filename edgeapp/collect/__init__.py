"""Recordings and photos from public archives, with their authors and licences.

One way through: a source offers media, the taxonomy names their taxa, licences and curation choose, the download
brings and checks them, and the manifest says what there is.
"""
