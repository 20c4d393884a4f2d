"""The programs that a shell script calls, as far as its text tells: Script(text) has `programs`, a list of (name,
line), and `functions`, the names that it defines. Command substitutions are read wherever they stand; so is the command behind
a program that runs another, and the text of `bash -c '...'`. A name that is computed, or has a slash, is left out."""
import re

KEYWORDS = set("if then elif else fi do done while until ! { } time".split())
BUILTINS = set(""": . [ alias break builtin cd command continue declare echo eval exec exit export false for getopts hash in
    jobs kill let local mapfile popd printf pushd pwd read readonly return select set shift shopt source test times trap true type
    typeset ulimit umask unalias unset wait function""".split())
# What runs the words behind it: how many other words come first, and which options have a value. (check: checks.sh)
RUNNERS = {"exec": (0, "-a"), "command": (0, ""), "timeout": (1, "-s -k"), "nice": (0, "-n"), "env": (0, "-u -C"),
           "xargs": (0, "-n -I -P -L -d"), "sudo": (0, "-u"), "nohup": (0, ""), "setsid": (0, ""), "check": (1, "")}
ASSIGNMENT = re.compile(r"\w+(\[[^]]*\])?\+?=")
REDIRECTION = re.compile(r"(\d*|&)(<<<|<<-?|>>|<>|[<>]&|>\||[<>])")
BLANK = re.compile(r"([ \t]|\\\n)*(#[^\n]*)?")


class Script:
    def __init__(self, text, first_line=1):
        self.text, self.at, self.first_line = text, 0, first_line
        self.programs, self.functions, self.documents = [], set(), []
        self.commands(())

    def line(self):
        return self.first_line + self.text.count("\n", 0, self.at)

    def sees(self, *tokens):
        return self.text.startswith(tokens, self.at)

    def passes(self, *tokens):
        """Goes over the first of the tokens that comes next; is there none, nothing happens."""
        token = next((t for t in tokens if self.sees(t)), "")
        self.at += len(token)
        return token

    def blank(self):
        self.at = BLANK.match(self.text, self.at).end()

    def quoted(self, end):
        """Up to `end`, where only a backslash and $ mean something: the text, with a $ for what is computed."""
        found = ""
        while self.at < len(self.text) and not self.passes(end):
            found += self.computed() or self.character()
        return found

    def character(self):
        self.at += self.sees("\\") + 1
        return self.text[self.at - 1:self.at]

    def computed(self):
        """Reads what a $ begins; "$" where there is one."""
        begin = self.passes("$((", "$(", "${", "$")
        if begin == "$(":
            self.commands((")",))
        elif begin in ("$((", "${"):
            self.quoted("))" if begin == "$((" else "}")
        return begin[:1]

    def word(self):
        word = ""
        while self.at < len(self.text) and not self.sees(*" \t\n;|&()<>"):
            if self.passes("'"):
                end = self.text.index("'", self.at)
                word += self.text[self.at:end]
                self.at = end + 1
            elif self.passes('"'):
                word += self.quoted('"')
            else:
                word += self.computed() or self.character()
            if ASSIGNMENT.fullmatch(word) and self.passes("("):  # an array
                self.words(")")
        return word

    def words(self, end):
        """Words and operators up to `end`, none of them a command."""
        while self.at < len(self.text) and not self.passes(end):
            before = self.at
            self.word()
            self.at += self.at == before

    def redirection(self, operator):
        if operator in "<>" and self.passes("("):  # a process
            return self.commands((")",))
        self.blank()
        is_literal = self.sees("'", '"', "\\")
        name = self.word()
        if operator.startswith("<<") and operator != "<<<":
            self.documents.append((name, is_literal))

    def newline(self):
        """Behind a line's end: goes over here-documents, reads the commands in those that are expanded."""
        for name, is_literal in self.documents:
            end = re.compile(rf"^\t*{re.escape(name)}$", re.M).search(self.text, self.at)
            while not is_literal and self.at < end.start():
                self.computed() or self.character()
            self.at = end.end()
        self.documents = []

    def case(self):
        self.word()
        self.blank()
        self.passes("in")
        while self.at < len(self.text):
            while self.blank() or self.passes("\n", "("):
                pass
            if self.passes("esac"):
                return
            self.words(")")
            self.commands((";;", "esac"))

    def commands(self, ends):
        """Simple commands up to one of `ends`, which is passed over unless it is esac."""
        words, line = [], self.line()
        while True:
            self.blank()
            at_end = self.at >= len(self.text) or self.sees(*ends) and (not self.sees("esac") or not words)
            if match := REDIRECTION.match(self.text, self.at):
                self.at = match.end()
                self.redirection(match.group(2))
            elif at_end or self.sees(*";|&\n("):
                opens = self.passes("(")
                if opens and len(words) == 1:  # name()
                    self.passes(")")
                    self.functions.add(words[0])
                else:
                    self.simple(words, line)
                    if opens:
                        self.commands((")",))
                words = []
                if at_end:
                    return None if self.sees("esac") else self.passes(*ends)
                if self.passes(*";|&\n") == "\n":
                    self.newline()
            else:
                line = line if words else self.line()
                word = self.word()
                if not words and word == "case":
                    self.blank()
                    self.case()
                elif not words and word == "[[":
                    self.words("]]")
                elif words or word not in KEYWORDS:
                    words.append(word)

    def simple(self, words, line):
        words = list(words)
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        if not words or "$" in words[0] or "/" in words[0]:
            return
        name, *rest = words
        if name == "command" and rest[:1] in (["-v"], ["-V"]):
            return
        if name == "python3" and rest[:2] == ["-m", "venv"]:
            name = "python3 -m venv"
        if name not in BUILTINS:
            self.programs.append((name, line))
        if name in RUNNERS and name not in self.functions:
            plain, with_value = RUNNERS[name]
            while rest and rest[0].startswith("-"):
                del rest[:2 if rest[0] in with_value.split() else 1]
            if name == "env":
                rest = [w for w in rest if not ASSIGNMENT.match(w)]
            self.simple(rest[plain:], line)
        elif name in ("bash", "sh") and "-c" in rest or name in ("trap", "eval"):
            inner = Script((rest[rest.index("-c") + 1:] if "-c" in rest else rest)[0], line)
            self.programs += inner.programs
        elif name == "find":
            for n, word in enumerate(rest):
                if word in ("-exec", "-execdir"):
                    self.simple(rest[n + 1:], line)
