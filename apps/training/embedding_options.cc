#include "apps/training/embedding_options.h"

namespace bough {

void EmbeddingOptions::settings(Settings& v) {
  v.group("Embeddings");
  v(vectors, "embedding-vectors",
    "files with vectors to begin with, source and target, or one where both sides share embeddings: word2vec's text "
    "format, a line 'entries width', then a word, or its number in the vocabulary (Marian's), and its vector in each. "
    "Entries that are not there begin as usual",
    Path{});
  v(normalize, "embedding-normalization",
    "divide the embeddings that the vectors are part of by their Euclidean norm as a whole, as Marian does");
}

void EmbeddingOptions::validate(bool shared) const {
  check(vectors.empty() || vectors.size() == 2 || shared,
        "embedding-vectors has {} files, must have 2: of the source and of the target", vectors.size());
  check(vectors.size() <= 2 && (!shared || vectors.size() < 2 || vectors[0] == vectors[1]),
        "embedding-vectors has {} different files, must have 1: source and target share their embeddings",
        vectors.size());
  check(!normalize || !vectors.empty(),
        "embedding-normalization is given without embedding-vectors; give both or neither");
}

}  // namespace bough
