"""Sound by frequency: levels in bands, minutes of a sound meter, and spectrograms with their axes and colours."""
