# Writes a source that names everything in the middle column of the tables of docs/torch_names.md, to standard output: it
# compiles while all of it exists. What stands beside torch.nn.functional must exist in nn.
BEGIN { FS = "|"; print "#include <tern/tern.h>\n\nnamespace torch_names {" }
/^## / { prefix = $0 == "## torch.nn.functional" ? "nn::" : "" }
/^\|/ {
  names = $3
  while (match(names, /`[A-Za-z0-9_:]+`/)) {
    name = prefix substr(names, RSTART + 1, RLENGTH - 2)
    if (!seen[name]++) { print "using ::tern::" name ";"; ++count }
    names = substr(names, RSTART + RLENGTH)
  }
}
END { print "}  // namespace torch_names"; if (count == 0) exit 1 }
