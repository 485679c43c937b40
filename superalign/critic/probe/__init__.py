"""The offline critic: sentence embedding, lexical cues, a small classifier."""
