"""How far a critic can be trusted: agreement with people, calibration, abstention."""
