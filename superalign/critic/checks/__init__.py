"""The critic of principles that a program can verify."""
