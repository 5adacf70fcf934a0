# Writes every ```cpp block of Markdown files to a source file of its own in `directory`: programs (with a main) as
# program_N.cpp, as they stand, other pieces as snippet_N.cpp, with the include and the using directive that the text
# takes for granted.
/^```cpp$/ { inside = 1; text = ""; next }
/^```$/ && inside {
  inside = 0
  program = text ~ /int main\(/
  file = sprintf("%s/%s_%d.cpp", directory, program ? "program" : "snippet", ++count)
  if (!program) print "#include <tern/tern.h>\n\nusing namespace tern;\n" > file
  printf "%s", text > file
  close(file)
}
inside { text = text $0 "\n" }
END { if (count == 0) exit 1 }
