#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/npz.h"

namespace bough {

/// NumPy's npy format, the part before the data: 6 bytes of magic, 2 of version, the length of the
/// text (2 bytes in version 1, 4 in versions 2 and 3), and a Python dictionary as text.
inline constexpr std::size_t npy_start_bytes = 12;

/// The parts of an npy file, in bytes from its start.
struct NpyStart {
  std::size_t header_offset = 0;  ///< where the text begins: 10 or 12
  std::size_t header_bytes = 0;   ///< length of the text
  std::size_t data_offset() const { return header_offset + header_bytes; }
};

/// Reads magic, version and length from the first 12 bytes; who names the array in errors.
NpyStart parse_npy_start(const unsigned char* bytes, const std::string& who);

/// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. Throws Error: malformed text,
/// big-endian or compound element type, Fortran order, a shape whose size does not fit 63 bits.
NpzHeader parse_npy_header(std::string_view text, const std::string& who);

/// Magic to end of text, version 1, as NumPy writes it: the data begin at a multiple of 64 bytes.
std::string write_npy_header(const NpzHeader& header);

}  // namespace bough
