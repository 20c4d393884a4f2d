#pragma once
#include <string_view>

/// What the page is made of: files of this folder, which the build puts into the program.
namespace bough::page_source {

extern const std::string_view page;    ///< page.html, with %STYLE%, %DATA% and %SCRIPT% where those belong
extern const std::string_view style;   ///< page.css
extern const std::string_view script;  ///< plots.js, charts.js, heat_maps.js, page.js

}  // namespace bough::page_source
