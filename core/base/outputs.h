#pragma once
#include <string>
#include <vector>

#include "core/base/settings.h"

namespace bough {

/// Throws Error where `name`, which the row `output` is to write, is a file that another row reads or writes, or one of
/// `configurations`. Logs may share a file.
void check_output(const Settings& rows, const Setting& output, const std::string& name,
                  const std::vector<std::string>& configurations = {});

/// The same for all that the rows write.
void check_outputs(const Settings& rows, const std::vector<std::string>& configurations);

}  // namespace bough
