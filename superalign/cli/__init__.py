"""The command line: one file of declarations, one file for each command's body, loaded when it is called."""
