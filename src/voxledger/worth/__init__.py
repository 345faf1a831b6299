"""What a cohort is worth: the same models trained without it and with it, judged on cases of other sites."""
