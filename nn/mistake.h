// Overloads that exist to say what is wrong: the compiler chooses them where no other fits, and its first line of text
// names the mistake.
#pragma once

/// In front of a function that must not be called: calls do not compile, and the compiler shows the text.
#define TERN_MISTAKE(text) __attribute__((unavailable(text)))

/// What calls with braced lists are told, which no attribute can: a deleted function's template argument of this name
/// stands in the compiler's message.
namespace tern::nn::mistake {

struct OptionMisspeltOrOfAnotherType;
struct ArgumentsDoNotFitTheConstructorPassThemWithoutBraces;

}  // namespace tern::nn::mistake
