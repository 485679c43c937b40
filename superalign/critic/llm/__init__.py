"""What critics that ask a language model share."""
