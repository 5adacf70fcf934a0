// The files of this directory as texts in the program. Not part of the public interface.
#pragma once

namespace tern::train::detail {

extern const char* const kPageHtml;    // page.html, with {{title}}, {{style}}, {{script}} and {{data}} where they go
extern const char* const kPageStyle;   // page.css
extern const char* const kPageScript;  // charts.js, layers.js and page.js

}  // namespace tern::train::detail
