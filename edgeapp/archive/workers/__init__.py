"""Who hears the recordings of an archive: processes of this machine or actors of Ray, and what each of them does."""
