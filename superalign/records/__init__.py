"""What flows through the loop: frozen records, a noun a file."""
