"""What training leaves for other cohorts: heads of probes, tuned weights, and scores from them."""
