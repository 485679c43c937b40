"""What made the tables of the documents; not part of the wheel."""
