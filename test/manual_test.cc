// Manual pages and completions: what roff and shells would take for something else.
#include "core/base/manual.h"

#include "core/base/version.h"
#include "test/catch.h"

using namespace bough;

namespace {

const ProgramEntry program{
    .name = "bough-x",
    .purpose = "does x",
    .usages = {"[--x N]", "FILE"},
    .description = ".first\n'second\\ `a' ~^\n\nlast",
    .options = {{.group = "G", .spellings = {"-x", "--x"}, .value = "N ...", .meaning = "it's x"},
                {.group = "H", .spellings = {"--kind"}, .value = "NAME", .meaning = ".a", .choices = {"a", "b-c"}},
                {.group = "H", .spellings = {"-x", "--file", "-fi"}, .value = "PATH", .meaning = "c", .is_path = true}},
    .exit_codes = {{"0", "done"}}};

}  // namespace

TEST_CASE("a manual page has text as it stands", "[manual]") {
  CHECK(format_man_page(program, {"bough-w", "bough-x", "bough-y"}) ==
        ".TH BOUGH\\-X 1 \"\" \"bough " + std::string(version()) +
            "\" \"bough\"\n"
            ".SH NAME\nbough\\-x \\- does x\n"
            ".SH SYNOPSIS\n\\fBbough\\-x\\fR [\\-\\-x N]\n.br\n\\fBbough\\-x\\fR FILE\n"
            ".SH DESCRIPTION\n\\&.first\n\\(aqsecond\\e \\(gaa\\(aq \\(ti\\(ha\n.PP\nlast\n"
            ".SH OPTIONS\n.SS G\n.TP\n\\fB\\-x\\fR, \\fB\\-\\-x\\fR \\fIN ...\\fR\nit\\(aqs x\n"
            ".SS H\n.TP\n\\fB\\-\\-kind\\fR \\fINAME\\fR\n\\&.a\n"
            ".TP\n\\fB\\-x\\fR, \\fB\\-\\-file\\fR, \\fB\\-fi\\fR \\fIPATH\\fR\nc\n"
            ".SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n"
            ".SH SEE ALSO\n\\fBbough\\-w\\fR(1),\n\\fBbough\\-y\\fR(1)\n");
}

TEST_CASE("completions know values, and each spelling once", "[manual]") {
  const std::string bash = format_bash_completion(program);
  for (const char* part :
       {"_bough_x() {\n", "compgen -W \"--x --kind --file\" -- ", "    --kind)\n", "compgen -W \"a b-c\" -- ",
        "    -x | --x)\n      compopt +o default ;;\n", "complete -o bashdefault -o default -F _bough_x bough-x\n"})
    CHECK(bash.find(part) != std::string::npos);
  CHECK(format_fish_completion(program) ==
        "# fish completion of bough-x, made from its tables of options\n"
        "complete -c bough-x -s x -l x -x -d 'it\\'s x'\n"
        "complete -c bough-x -l kind -x -a 'a b-c' -d '.a'\n"
        "complete -c bough-x -l file -o fi -r -F -d 'c'\n");
}
