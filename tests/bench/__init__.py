"""Speed, shown as ratios and percentiles measured in one run; nothing here is asserted in a test."""
