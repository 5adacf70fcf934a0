# Writes every ```cpp block of a Markdown file to a source file of its own in `directory`: programs (with a main) as they stand,
# other pieces with the include and the using directive that the text takes for granted.
/^```cpp$/ { inside = 1; text = ""; next }
/^```$/ && inside {
  inside = 0
  file = sprintf("%s/snippet_%d.cpp", directory, ++count)
  if (text !~ /int main\(/) print "#include <tern/tern.h>\n\nusing namespace tern;\n" > file
  printf "%s", text > file
  close(file)
}
inside { text = text $0 "\n" }
END { if (count == 0) exit 1 }
