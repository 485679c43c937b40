"""Recipe -> the roles; the only room that names concrete classes."""
