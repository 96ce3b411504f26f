"""From what a data set is delivered as to the files that its reader reads."""
