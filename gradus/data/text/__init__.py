"""Text as numbers: tokenisers, vocabularies, word vectors."""
