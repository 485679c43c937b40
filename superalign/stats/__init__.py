"""Pure statistics: intervals, agreement, prevalence, diversity of texts."""
