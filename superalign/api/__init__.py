"""What `import superalign` offers: the verbs of the command line as functions, and a run folder as objects."""
