#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/training/embedding_options.h"
#include "core/parameters.h"
#include "data/vocabulary.h"

namespace bough {

/// Reads vectors in word2vec's text format over `rows` (entries of the vocabulary x width), the others stay. Returns
/// how many were taken. Words that the vocabulary has not are passed over; where the first one is a whole number, all
/// are numbers of entries. Throws Error, with the line, for another width, a vector that is none, or a file that is not
/// whole.
int64_t read_embedding_vectors(const std::string& path, const Vocabulary& vocabulary, int64_t width,
                               std::vector<float>& rows);

/// Puts what embedding-vectors names into the initial values of `part`, if that is an embedding.
void place_embedding_vectors(const EmbeddingOptions& options,
                             const std::vector<std::shared_ptr<Vocabulary>>& vocabularies, const ParameterPart& part,
                             std::vector<float>& values);

}  // namespace bough
