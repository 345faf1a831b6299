"""score: where labels are likely wrong, and which cases people should look at."""
