"""What a study's tables, figures and sentences are made of: merged evidence, facts, differences."""
