#pragma once
#include <span>
#include <string>

#include "core/base/settings_reader.h"

namespace bough {

/// Gives the reader what the arguments hold for its rows, read as Python's argparse reads them: options may be
/// abbreviated, "-w2", "-w=2" and "--width=2" hold their value, "-bq" is -b -q, of an option given twice the last one
/// counts, flags take no value, "-1" is a number, nothing after "--" is an option, and of the words that belong to no
/// option the first run is the list of words. Reading ends at a flag that has a meaning on command lines alone (help).
/// Error for a value that is wrong or missing; options that do not exist wait for the reader's apply(), as there.
void read_as_argparse(const Settings& rows, std::span<const std::string> arguments, SettingsReader& reader);

}  // namespace bough
